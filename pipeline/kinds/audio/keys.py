"""The keys of sounds: how they are read (`data.*`) and augmented (`augment.*`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pipeline.schema.augment import AugmentConfig, Probability
from pipeline.schema.data import DataConfig

Seconds = Annotated[float, Field(gt=0.0, le=3600.0)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Decibels = Annotated[float, Field(ge=0.0, le=60.0)]
Times = Annotated[int, Field(ge=0, le=16)]

INSTALL = "data=audio needs soundfile: say `pip install soundfile soxr`"
VARIED = (
    "data.rate", "data.channel", "data.features", "data.mels", "data.frame", "data.step", "data.low", "data.high",
    "data.length", "data.window", "data.hop",
)  # fmt: skip
SPECTRAL = ("time_mask", "mel_mask")
TEMPORAL = ("speed",)
OPERATIONS = ("shift", "gain", "noise", *TEMPORAL, *SPECTRAL)


class AudioData(DataConfig):
    """`data.*` of sounds."""

    content_key = "audio"
    beside_files: ClassVar[frozenset[str]] = frozenset(
        {"png", "jpg", "jpeg", "svg", "textgrid", "lab", "eaf", "srt", "vtt", "mid", "midi", "npy", "npz", "mat", "cue", "m3u"}
    )

    rate: Annotated[int, Field(ge=1000, le=384_000)] | None
    """Samples a second to which all are resampled; null: the most frequent rate."""
    channel: Literal["mix", "left", "right"]
    """Of sounds with several: their mean, the first or the second."""
    features: Literal["logmel", "waveform"]
    mels: Annotated[int, Field(ge=4, le=512)]
    """Bands of a spectrogram."""
    frame: Annotated[float, Field(gt=0.0, le=1.0)]
    """Seconds of sound of which a column of a spectrogram is made."""
    step: Annotated[float, Field(gt=0.0, le=1.0)]
    """Seconds from one column to the next."""
    low: Annotated[float, Field(ge=0.0)]
    """Hz, where the lowest band begins."""
    high: Annotated[float, Field(gt=0.0)] | None
    """Hz, where the highest band ends; null: half of the rate."""
    length: Seconds | None
    """Of a clip: longer ones are cut to their middle, shorter ones get silence at both ends; null: by the clips' lengths."""
    window: Seconds | None
    """Recordings are cut into windows of so many seconds; null: they are clips."""
    hop: Seconds | None
    """Seconds from one window to the next; null: the window's length."""
    resampler: Literal["soxr", "scipy"]
    max_seconds: Annotated[float, Field(gt=0.0)]
    """Longer ones are not decoded."""
    audio: str
    """Column of the sound (bytes, array or file path) in a table."""

    @property
    def needs(self) -> Mapping[str, str]:
        """As the base has it."""
        return {"soundfile": INSTALL}

    @classmethod
    def form(cls, shape: Sequence[int], lengths: Sequence[int] | None) -> str:
        """As the base has it."""
        bands = f"spectrograms of {shape[1]} bands x {shape[-1]:,} columns"
        return bands if len(shape) == 3 else f"waveforms of {shape[-1]:,} samples"

    @model_validator(mode="after")
    def _is_one_way(self) -> Self:
        problems = []
        if self.window and self.length:
            problems.append("length is of clips, and window of recordings; set one of them")
        if self.hop and not self.window:
            problems.append("hop is the way from window to window, and there are none; set window")
        if self.hop and self.window and self.hop > self.window:
            problems.append(f"hop = {self.hop:g} is longer than window = {self.window:g}: what lies between is never heard")
        if self.step > self.frame:
            problems.append(f"step = {self.step:g} is longer than frame = {self.frame:g}: what lies between is never heard")
        if self.high is not None and self.high <= self.low:
            problems.append(f"high = {self.high:g} is not above low = {self.low:g}")
        if problems:
            raise ValueError("\n".join(problems))
        return self


class AudioPolicy(AugmentConfig):
    """`augment.*` of sounds: each operation drawn per sample; 0 switches it off."""

    kind = "audio"

    shift: Share
    """Largest shift in time, either way, as a share of the length; what comes in is as quiet as the sound's quietest."""
    gain: Decibels
    """Largest change of loudness, either way."""
    noise: Probability
    """Largest standard deviation of noise, as a share of the training sounds' own."""
    speed: Share
    """Waveforms: faster or slower by at most this share, which changes the pitch as well."""
    time_mask: Share
    """Spectrograms: longest stretch that is blanked, as a share of the length (SpecAugment, Park et al. 2019)."""
    time_masks: Times
    """How many such stretches."""
    mel_mask: Share
    """Spectrograms: widest band that is blanked, as a share of all."""
    mel_masks: Times

    @property
    def active(self) -> bool:
        """Whether any operation is on."""
        return self.strength > 0 and any(getattr(self, name) > 0 for name in OPERATIONS)

    def scaled(self) -> Self:
        """The same policy with its strength taken into the operations."""
        scaled = {name: getattr(self, name) * self.strength for name in OPERATIONS}
        return self if self.strength == 1 else self.model_copy(update={"strength": 1.0, **scaled})


DATA, POLICY = AudioData, AudioPolicy
