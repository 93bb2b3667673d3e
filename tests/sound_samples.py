"""Small sounds of several classes, encoded as people have them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from data_samples import prepare_config
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset, open_dataset
from pipeline.kinds.audio.keys import AudioData, AudioPolicy
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated

RATE = 8000
TONES = {"low": 300.0, "high": 1200.0, "both": 0.0}
AUDIO = dict.fromkeys(AudioData.model_fields) | {
    "kind": "audio", "source": "auto", "label": "label", "target": "auto", "audio": "audio", "channel": "mix",
    "features": "logmel", "mels": 20, "low": 20.0, "frame": 0.025, "step": 0.01, "resampler": "soxr", "max_seconds": 60.0,
}  # fmt: skip
POLICY = {
    "seed": 0, "views": 0, "strength": 1.0, "shift": 0.2, "gain": 6.0, "noise": 0.3, "speed": 0.0, "time_mask": 0.3,
    "time_masks": 2, "mel_mask": 0.3, "mel_masks": 1,
}  # fmt: skip


def audio_config(**changes: Any) -> AudioData:
    return validated(AudioData, AUDIO | changes, "data")


def audio_policy(**changes: Any) -> AudioPolicy:
    return validated(AudioPolicy, POLICY | changes, "augment")


def tone(label: str, number: int = 0, seconds: float = 0.4, rate: int = RATE) -> NDArray[np.float32]:
    """A sound of a class, like no other number's: one or two decaying tones over noise."""
    draws = np.random.default_rng(number)
    time = np.arange(round(seconds * rate)) / rate
    pitches = [TONES[label]] if TONES[label] else [300.0, 1200.0]
    values = sum(np.sin(2 * np.pi * pitch * draws.uniform(0.9, 1.1) * time + draws.uniform(0, 6)) for pitch in pitches)
    return (0.2 * values * np.exp(-3 * time / seconds) + 0.01 * draws.standard_normal(len(time))).astype(np.float32)


def encoded(samples: NDArray[Any], rate: int = RATE, format: str = "WAV", subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, subtype=subtype, format=format)
    return buffer.getvalue()


def write_classes(root: Path, num: int, **options: Any) -> Path:
    """A folder per class with so many sounds each."""
    for label in TONES:
        (root / label).mkdir(parents=True, exist_ok=True)
        for i in range(num):
            (root / label / f"{i}.wav").write_bytes(encoded(tone(label, i, **options)))
    return root


def build_sounds(path: Path, folder: Path, prepare: dict[str, Any] | None = None, workers: int = 1, **data: Any) -> Dataset:
    folder.mkdir(exist_ok=True)
    build_dataset(audio_config(path=str(path), **data), prepare_config(**prepare or {}), folder, "code", workers)
    return open_dataset(folder)
