"""Sounds as people take them in: a picture of the spectrum beside a player, and the sheet of what an augmentation does."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from pipeline.kinds.audio.features import FLOOR, Recipe, log_mel, spectral
from pipeline.kinds.audio.keys import OPERATIONS, AudioPolicy
from pipeline.kinds.audio.occlusion import regions, told
from pipeline.kinds.audio.rebuilt import rebuilt
from pipeline.kinds.audio.sound import Samples
from pipeline.kinds.heat import encoded, heated
from pipeline.kinds.kind import Fit
from pipeline.kinds.occlusion import Square
from pipeline.kinds.sheet import Cell, original, sheet, view
from pipeline.kinds.showing import Examples, Parts, without

NOUN = "sounds"
MOST_SECONDS, MOST_RATE = 3.0, 16_000
"""Of a player: what is longer is cut, what has more samples is heard with fewer, so that a page stays small."""
MOST_COLUMNS = 240
NUM_VIEWS = 8
_QUIETEST, _LOUDEST = float(np.log(FLOOR)), 0.0


def shown(row: NDArray[Any], fit: Fit, words: str) -> Markup:
    """A sound (1, bands, columns) or (1, samples), or the first of its windows, as a picture over a player.

    A spectrogram has no phases; they are made anew, so one hears what the network is given, not the file.
    """
    recipe = Recipe.of(fit)
    first = row[0] if row.ndim > len(recipe.shape) else row
    picture = Markup('<img src="data:image/png;base64,{}" alt="{}">').format(encoded(_picture(first, recipe)), words)
    return picture + _player(first, recipe, words)


def shown_parts(row: NDArray[Any], fit: Fit, words: str, parts: Parts) -> Markup:
    """The spectrogram beside itself in grey, where stretches are coloured by what they say and the strongest one is boxed."""
    recipe, box = Recipe.of(fit), parts.strongest(1)
    picture, every = _picture(row, recipe), regions(fit)
    high = every[-1].bottom
    flipped = [Square(high - each.bottom, high - each.top, each.left, each.right) for each in every]  # low tones below
    heat = heated(picture, parts.strengths, flipped, box[0] if box else None)
    names = [f"the box, {told(region, fit)}" for region in every]
    pair = Markup('<div class="pair"><img src="data:image/png;base64,{}" alt="{}">'
                  '<img src="data:image/png;base64,{}" alt="{}"></div>')  # fmt: skip
    shown = pair.format(encoded(picture), words, encoded(heat), f"{words}; where the answer came from")
    return shown + _player(row, recipe, words) + without(names, parts, box)


def _player(row: NDArray[Any], recipe: Recipe, words: str) -> Markup:
    heard = "" if recipe.mels is None else ", as heard from its spectrogram"
    samples = row[0] if recipe.mels is None else rebuilt(row[0].astype(np.float32), recipe)
    player = Markup('<audio controls preload="none" title="{}" src="data:audio/wav;base64,{}"></audio>')
    return player.format(f"{words}{heard}", _wav(samples, recipe.rate))


def shown_copy(view: NDArray[Any], original: NDArray[Any], fit: Fit, words: str) -> Markup:
    """As the original, so that both are heard."""
    return shown(view, fit, words)


def preview(examples: Examples, policy: AudioPolicy) -> bytes | None:
    """PNG: the originals beside eight views of each; masks and noise by each row's own statistics instead of training's."""
    import torch

    from pipeline.kinds.audio.views import batch_views, view_parameters

    rows = []
    for row, sample_id, name in zip(examples.rows, examples.ids, examples.names, strict=True):
        first, cells = row[-1] if row.ndim > 3 else row, list[Cell]()
        ids, numbers = np.full(NUM_VIEWS, sample_id), np.arange(NUM_VIEWS)
        axis = 2 if first.ndim == 3 else None
        values = first.astype(np.float64)
        own = {"mean": np.ravel(values.mean(axis)).tolist(), "std": np.ravel(values.std(axis)).tolist()}
        if policy.active:
            stored = torch.from_numpy(np.repeat(first[None], NUM_VIEWS, axis=0))
            drawn = view_parameters(ids, numbers, policy, first.shape)
            views = batch_views(stored, ids, numbers, policy, own).numpy()
            cells = [view(_drawn(each), _words(drawn, i, policy, first.shape)) for i, each in enumerate(views)]
        rows.append([original(_drawn(first), name), *cells])
    about = ", ".join(f"{name.replace('_', ' ')} {getattr(policy, name):g}" for name in OPERATIONS if getattr(policy, name) > 0)
    views_shown = policy.active
    return sheet(rows if views_shown else [[row[0] for row in rows]], about or "augmentation is off", views_shown)


def _words(drawn: Any, i: int, policy: AudioPolicy, shape: Sequence[int]) -> list[str]:
    words = {
        "shift": f"shift {drawn.shift[i] / shape[-1]:+z.0%}",
        "gain": f"{drawn.gain[i]:+z.1f} dB",
        "speed": f"speed {drawn.speed[i]:.2f}",
        "noise": f"noise {drawn.noise[i]:.0%}",
    }
    return [text for name, text in words.items() if getattr(policy, name) > 0]


def _drawn(row: NDArray[Any]) -> Image.Image:
    """A row, of whatever form, as a picture; a waveform by its outline."""
    return _coloured(row[0].astype(np.float32)) if row.ndim == 3 else _outline(row[0])


def _picture(row: NDArray[Any], recipe: Recipe) -> Image.Image:
    """A spectrogram, of a waveform its own."""
    values = row[0].astype(np.float32) if recipe.mels else log_mel(row[0], spectral(recipe))
    return _coloured(values)


def _coloured(values: Samples) -> Image.Image:
    """(bands, columns) from silence to full scale, low tones below; at most so many columns wide."""
    from matplotlib import colormaps

    step = -(-values.shape[1] // MOST_COLUMNS)
    share = np.clip((values[::-1, ::step] - _QUIETEST) / (_LOUDEST - _QUIETEST), 0, 1)
    return Image.fromarray(colormaps["magma"](share, bytes=True)[..., :3])


def _outline(samples: Samples) -> Image.Image:
    """The least and the largest sample in each of so many parts."""
    high, wide = 60, min(144, len(samples))
    parts = np.array_split(samples, wide)
    ends = np.clip(np.array([[part.max(), part.min()] for part in parts]), -1, 1)
    rows = np.round((1 - ends) / 2 * (high - 1)).astype(int)
    at = np.arange(high)[:, None]
    return Image.fromarray(np.where((at >= rows[:, 0]) & (at <= rows[:, 1]), 40, 250).astype(np.uint8)).convert("RGB")


def _wav(samples: Samples, rate: int) -> str:
    """16 bits of one channel, as loud as they can be."""
    every = max(1, round(rate / MOST_RATE))
    parts = samples[: int(MOST_SECONDS * rate)]
    parts = parts[: len(parts) // every * every].reshape(-1, every).mean(1)
    values = np.round(parts / max(float(np.abs(parts).max()), 1e-9) * 0.9 * 32767).astype("<i2").tobytes()
    heard = round(rate / every)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, heard, 2 * heard, 2, 16)
    content = b"WAVE" + form + struct.pack("<4sI", b"data", len(values)) + values
    return base64.b64encode(struct.pack("<4sI", b"RIFF", len(content)) + content).decode()
