"""Data whose answers hang on one part that is known, and networks that have learned them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from data_samples import data_config, encoded, prepare_config
from PIL import Image
from published import _fitted
from run_helpers import configs
from sound_samples import RATE, audio_config, audio_policy
from sound_samples import encoded as wave
from table_samples import policy, table_config, write_lines
from text_samples import policy as text_policy
from text_samples import text_config, write_jsonl

from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views
from pipeline.explanation.asked import Asked
from pipeline.model.predictor import load_predictor
from pipeline.prepare.build import build_dataset
from pipeline.runs.record import publish
from pipeline.train.program import program_of

BAG = {
    "model__arch": "module", "model__name": "bag", "model__widths": [], "model__dropout": 0.0,
    "model__keys": {"width": 8, "hidden": 8, "dropout": 0.0, "token_dropout": 0.0},
}  # fmt: skip
TEXTCNN = {**BAG, "model__name": "textcnn", "model__keys": {"width": 8, "channels": 8}}


def learned(folder: Path, source: Any, views: Views | None, **network: Any) -> tuple[Dataset, Asked]:
    """A dataset of keys of `data`, and a network that was trained on it."""
    build_dataset(source, prepare_config(val_fraction=0.1, test_fraction=0.2), folder / "data", "code", 1)
    data = open_dataset(folder / "data")
    usual = {
        "train__epochs": 25, "train__batch_size": 20, "train__save_every_s": 0.0, "train__threads": 1,
        "train__learning_rate": 0.01, "train__warmup_epochs": 1.0, "model__widths": [16],
        "model__dropout": 0.0,
    }  # fmt: skip
    model, config = configs(**(usual | network))
    trained = _fitted_on(model, config, data, views)
    publish(trained, folder / "train", model, data.manifest, program_of(model, config, data.manifest)[0])
    return data, Asked(load_predictor(folder / "train"), None, 64)


def _fitted_on(model: Any, config: Any, data: Dataset, views: Views | None) -> Any:
    from training_helpers import NONE

    return _fitted(model, config, data, views or NONE)


PATCH = (slice(2, 5), slice(7, 10))
"""Rows and columns of images of 12 x 12 that say the class: bright or dark."""


def patched(folder: Path) -> tuple[Dataset, Asked]:
    """Images of noise."""
    for i in range(240):
        draws = np.random.default_rng(i)
        values = draws.integers(60, 190, (12, 12)).astype(np.uint8)
        values[PATCH] = draws.integers(200, 250) if i % 2 else draws.integers(0, 50)
        place = folder / "images" / ("dark", "bright")[i % 2] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encoded(Image.fromarray(values)))
    (folder / "data").mkdir()
    return learned(folder, data_config("folder", path=str(folder / "images")), None)


SIGNAL = "splendid", "dreadful"
FILLERS = ("the", "a", "film", "story", "with", "actor", "scene", "music", "night", "about", "and", "then", "city", "very")


def sentence(i: int) -> tuple[str, str]:
    """Eight words, one of which says the label, and the label."""
    draws = np.random.default_rng(i)
    words, side = draws.choice(FILLERS, 8).tolist(), int(draws.integers(2))
    words[draws.integers(8)] = SIGNAL[side]
    return " ".join(words), ("good", "bad")[side]


def worded(folder: Path, network: dict[str, Any] = BAG, **data: Any) -> tuple[Dataset, Asked]:
    """Texts."""
    (folder / "conf").symlink_to(Path(__file__).resolve().parents[2] / "conf")
    rows = write_jsonl(folder / "t.jsonl", [sentence(i) for i in range(300)])
    source = text_config(path=str(rows), **data)
    (folder / "data").mkdir()
    return learned(folder, source, Views([], text_policy(), "none"), **network)


def cell_rows(num: int, numbers: bool = False) -> list[str]:
    """a decides the label; noise, of numbers and of texts, says nothing."""
    draws = np.random.default_rng(0)
    found = []
    for _ in range(num):
        a, noise = draws.normal(size=2)
        a += 0 if numbers else np.sign(a)
        label = f"{100 + 10 * a:.4f}" if numbers else ("no", "yes")[int(a > 0)]
        found.append(f"{a:.5f},{noise:.5f},{('Bern', 'Basel', 'Chur')[draws.integers(3)]},{label}")
    return found


def columned(folder: Path, num: int = 500, numbers: bool = False, **network: Any) -> tuple[Dataset, Asked]:
    """Rows of a table."""
    source = write_lines(folder / "t.csv", "a,noise,town,label", cell_rows(num, numbers))
    (folder / "data").mkdir()
    return learned(folder, table_config(path=str(source), bins=12), Views([], policy(), "none"), **network)


BURST = (0.2, 0.3)
"""Seconds of sounds of 0.5 s in which a high or a low tone is the class."""
PITCHES = {"low": 500.0, "high": 2000.0}


def burst(label: str, i: int, at: float = BURST[0], seconds: float = 0.5) -> np.ndarray:
    """Noise, and for a tenth of a second a tone."""
    draws, time = np.random.default_rng(i), np.arange(round(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * PITCHES[label] * time + draws.uniform(0, 6))
    inside = (time >= at) & (time < at + BURST[1] - BURST[0])
    return (tone * inside + 0.01 * draws.standard_normal(len(time))).astype(np.float32)


def sounding(folder: Path, **data: Any) -> tuple[Dataset, Asked]:
    """Sounds; with windows the tone lies in the second half of a longer one."""
    at, seconds = (1.2, 1.5) if "window" in data else (BURST[0], 0.5)
    for i in range(120):
        label = tuple(PITCHES)[i % 2]
        place = folder / "sounds" / label / f"{i}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(wave(burst(label, i, at, seconds)))
    (folder / "data").mkdir()
    return learned(folder, audio_config(path=str(folder / "sounds"), **data), Views([], audio_policy(), "none"))
