"""Free Spoken Digits (3,000 WAVs of six speakers): accuracy, speakers never heard in training, and the speed of the way there.

Rows: accuracy_spoken_digits, `data=audio` on the official test split (takes 0 to 4 of each speaker and digit), 3 seeds;
speakers_spoken_digits, each of the six speakers left out in turn: with augmentation, without, and the baseline, with intervals
over speakers; prepare_sounds, all of `prepare`, from files to log-mel, against a plain loop over soundfile and torch.stft;
augment_sounds, keyed SpecAugment against a DataLoader that masks each clip with torch's generator.
Seconds are those that processors were at work (of training and SpecAugment on one thread), so that programs beside count less.

    python -m benchmarks.sounds accuracy FOLDER     # that holds fsdd_wav.tar.gz, or its WAVs in recordings/
    python -m benchmarks.sounds speakers FOLDER
    python -m benchmarks.sounds prepare FOLDER
    python -m benchmarks.sounds augment
"""

from __future__ import annotations

import csv
import io
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.accuracy import prepared, test_accuracy, trained
from benchmarks.harness import ratio, seconds_in_turn, write_row
from pipeline.config import composed
from pipeline.data.views import Views, open_views, write_view_folder
from pipeline.kinds.audio.features import mel_bank
from pipeline.kinds.audio.keys import AudioPolicy
from pipeline.kinds.audio.views import batch_views
from pipeline.kinds.keys import data_section, policy_section
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated
from pipeline.schema.prepare import PrepareConfig
from pipeline.study.statistics import paired_difference

SEEDS, ROUNDS = 3, 5
SPEAKER_SEEDS, SPEAKER_EPOCHS = 1, 8
"""Of a speaker left out: the interval is over speakers. Fewer epochs, for time."""

TABLE = "digits.csv"


@contextmanager
def recordings(folder: Path) -> Iterator[Path]:
    """A folder with `recordings/` and a table of them: file, digit, speaker, and whether it is of the official test split."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        if (folder / "recordings").is_dir():
            (place / "recordings").symlink_to((folder / "recordings").resolve())
        else:
            with tarfile.open(folder / "fsdd_wav.tar.gz") as archive:
                archive.extractall(place, filter="data")
        with (place / TABLE).open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["audio", "label", "speaker", "split"])
            for path in sorted((place / "recordings").glob("*.wav")):
                digit, speaker, take = path.stem.split("_")
                rows.writerow([f"recordings/{path.name}", digit, speaker, "test" if int(take) < 5 else "train"])
        yield place


def configured(place: Path, *overrides: str) -> dict[str, Any]:
    """The configuration that comes along, on that table."""
    values: dict[str, Any] = composed(overrides=["data=audio", "data.split=split", "study=none", *overrides])
    values["data"] |= {"path": str(place / TABLE)}
    return values


def accuracy(folder: Path) -> None:
    """3 seeds, one after the other."""
    own, seconds = [], []
    with recordings(folder) as place, tempfile.TemporaryDirectory() as scratch:
        values = configured(place)
        dataset, views = prepared(values, Path(scratch))
        simple = simple_of(values, dataset)
        for seed in range(SEEDS):
            started = time.process_time()
            training = trained(values, dataset, views, [seed], threads=1)
            seconds.append(time.process_time() - started)
            own += test_accuracy(training, dataset)
            print(f"seed {seed}: test accuracy {own[-1]:.4f}, {seconds[-1]:.0f} CPU-s", flush=True)
    row: dict[str, Any] = {
        "test_accuracy": round(statistics.mean(own), 4),
        "standard_deviation": round(statistics.stdev(own), 4),
    }
    row |= {"values": [round(v, 4) for v in own], "seeds": SEEDS, "training_cpu_s": [round(s, 1) for s in seconds]}
    write_row("accuracy_spoken_digits", row | {"baseline": round(simple, 4)}, {})


def simple_of(values: dict[str, Any], dataset: Any) -> float:
    """The accuracy of logistic regression on log-mel statistics."""
    from pipeline.baselines.methods import fitted
    from pipeline.kinds.audio.baselines import baselines

    train, test = dataset.split("train"), dataset.split("test")
    [seen] = baselines(dataset.manifest.fit, dataset.manifest.shape)
    answer = fitted(seen.features(np.array(train.inputs)), np.asarray(train.labels), dataset.manifest.task, seen)
    return float((answer(seen.features(np.array(test.inputs))) == np.asarray(test.labels)).mean())


def speakers(folder: Path) -> None:
    """Each speaker's takes are the test split once; val is cut from the others'."""
    found: dict[str, dict[str, float]] = {}
    with recordings(folder) as place:
        table = list(csv.DictReader((place / TABLE).open()))
        for speaker in sorted({row["speaker"] for row in table}):
            with (place / TABLE).open("w", newline="") as file:
                rows = csv.DictWriter(file, list(table[0]))
                rows.writeheader()
                rows.writerows(row | {"split": "test" if row["speaker"] == speaker else "train"} for row in table)
            found[speaker] = left_out(place)
            print(speaker, found[speaker], flush=True)
    arms = {arm: [scores[arm] for scores in found.values()] for arm in next(iter(found.values()))}
    row: dict[str, Any] = {"speakers": len(found), "seeds": SPEAKER_SEEDS, "epochs": SPEAKER_EPOCHS}
    for arm, scores in arms.items():
        row |= {arm: round(statistics.mean(scores), 4), f"{arm}_by_speaker": [round(score, 4) for score in scores]}
    for arm in ("without_augmentation", "baseline"):
        interval = paired_difference(arms["with_augmentation"], arms[arm]).interval or ()
        row[f"augmentation_less_{arm}"] = [round(end, 4) for end in interval]
    write_row("speakers_spoken_digits", row, {})


def left_out(place: Path) -> dict[str, float]:
    """Accuracies on the one speaker, the mean over seeds, and the baseline's."""
    values = configured(place, f"train.epochs={SPEAKER_EPOCHS}")
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as other:
        dataset, views = prepared(values, Path(scratch))
        scores = {"baseline": simple_of(values, dataset), "with_augmentation": mean_accuracy(values, dataset, views)}
        values["augment"] |= {"strength": 0.0}
        write_view_folder(dataset, policy_section(values).scaled(), Path(other), torch.device("cpu"))
        return scores | {"without_augmentation": mean_accuracy(values, dataset, open_views(Path(other)))}


def mean_accuracy(values: dict[str, Any], dataset: Any, views: Views) -> float:
    """Of the best weights of each seed's run."""
    runs = [trained(values, dataset, views, [seed], threads=1) for seed in range(SPEAKER_SEEDS)]
    return statistics.mean(value for run in runs for value in test_accuracy(run, dataset))


def prepare(folder: Path) -> None:
    """All of `prepare` in one process, and a plain loop; that each file is read twice counts."""
    torch.set_num_threads(1)
    with recordings(folder) as place:
        values = configured(place)
        data, keys = data_section(values), validated(PrepareConfig, values["prepare"], "prepare")

        def ours() -> None:
            with tempfile.TemporaryDirectory() as scratch:
                build_dataset(data, keys, Path(scratch), "benchmark", workers=1)

        def loop() -> None:
            plain_loop(sorted((place / "recordings").glob("*.wav")))

        seconds = seconds_in_turn({"ours": ours, "loop": loop}, ROUNDS, clock=time.process_time)
        num = len(list((place / "recordings").glob("*.wav")))
    row = {"clips_per_core_s": num / statistics.median(seconds["ours"]), "cpu_seconds": statistics.median(seconds["ours"])}
    peer = ratio(seconds["ours"], seconds["loop"]) | {"clips_per_core_s": num / statistics.median(seconds["loop"])}
    write_row("prepare_sounds", row, {"plain loop, soundfile and torch.stft": peer})


def plain_loop(paths: list[Path]) -> None:
    """One after the other: no identity, no checks, no splits, no files."""
    bank = torch.from_numpy(mel_bank(40, 256, 8000, 20.0, 4000.0)).float()
    window, made = torch.hann_window(200), []
    for path in paths:
        samples, _ = soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32")
        lacking = max(0, 8000 - len(samples))
        clip = torch.from_numpy(np.pad(samples, (lacking // 2, lacking - lacking // 2))[:8000])
        spectrum = torch.stft(clip, 256, 80, 200, window, center=False, return_complex=True)
        made.append((spectrum.abs().square().T @ bank).clamp_(min=1e-8).log_().T)
    assert torch.stack(made).shape == (len(paths), 40, 97)


class Masked(Dataset[torch.Tensor]):
    """What people write: a clip shifted, made louder and masked when it is asked for, from torch's generator."""

    def __init__(self, clips: torch.Tensor) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> torch.Tensor:
        clip = self.clips[i].float()
        bands, columns = clip.shape[1:]
        clip = clip.roll(int(torch.randint(-9, 10, ())), 2) + float(torch.rand(()) * 2.76 - 1.38)
        for axis, length, share in ((2, columns, 0.2), (1, bands, 0.2)):
            width = int(torch.randint(0, int(share * length) + 1, ()))
            first = int(torch.randint(0, length - width + 1, ()))
            clip.narrow(axis, first, width).fill_(0.0)
        return clip


def augment() -> None:
    """Batches of 64 of 40 x 98, one thread; the DataLoader in the same process, which is its fastest for clips so small."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    clips = torch.from_numpy(rng.normal(-8, 3, (4096, 1, 40, 98)).astype(np.float16))
    ids, policy = rng.integers(0, 2**64, 4096, dtype=np.uint64), policy_section(composed(overrides=["data=audio"]))
    assert isinstance(policy, AudioPolicy)
    fit = {"mean": [-8.0] * 40, "std": [3.0] * 40}
    loader = DataLoader(Masked(clips), 64)

    def ours() -> None:
        for at in range(0, 4096, 64):
            batch_views(clips[at : at + 64], ids[at : at + 64], np.full(64, 3), policy, fit)

    def peer() -> None:
        for _ in loader:
            pass

    contenders: dict[str, Callable[[], object]] = {"ours": ours, "peer": peer}
    seconds = seconds_in_turn(contenders, ROUNDS, clock=time.process_time)
    speed = {name: 4096 / statistics.median(times) for name, times in seconds.items()}
    fastest = 4096 / min(seconds["ours"])
    against = ratio(seconds["ours"], seconds["peer"]) | {"clips_per_s": speed["peer"]}
    write_row("augment_sounds", {"clips_per_s": speed["ours"], "fastest_round": fastest}, {"torch DataLoader": against})


if __name__ == "__main__":
    if sys.argv[1] == "augment":
        augment()
    else:
        {"accuracy": accuracy, "speakers": speakers, "prepare": prepare}[sys.argv[1]](Path(sys.argv[2]))
