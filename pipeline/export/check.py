"""`python check.py`: run model.onnx on the samples beside it and compare with what Regatta answered.

Needs onnxruntime and numpy alone.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-4
"""Of answers in float32, whose sums are taken in another order elsewhere."""


def answers(path: Path, rows: Any) -> list[Any]:
    """What the network in a file says to rows (B, *shape), each output as an array."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: rows}))


def largest_difference(one: Any, other: Any) -> float:
    """Between answers to the same rows, in units of the largest of the first (at least 1)."""
    return float(np.max(np.abs(one - other)) / max(1.0, float(np.max(np.abs(one)))))


def main() -> int:
    """Print the largest difference of each output; 1 where one is above the tolerance."""
    folder = Path(__file__).resolve().parent
    samples = np.load(folder / "samples.npz", allow_pickle=False)
    names = [name for name in samples.files if name != "rows"]
    found = dict(zip(names, answers(folder / "model.onnx", samples["rows"]), strict=True))
    worst = 0.0
    for name in names:
        difference = largest_difference(samples[name], found[name])
        print(f"{name}: {len(samples[name])} samples, largest difference {difference:.2g}")
        worst = max(worst, difference)
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
