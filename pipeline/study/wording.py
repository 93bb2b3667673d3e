"""How a study's settings and numbers are worded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.study.found import Effect, Effects
from pipeline.wording import counted, form_of, shifted

LABELS = {
    "augment.strength": "augmentation",
    "train.limit": "training samples",
    "train.per_class": "samples of each class",
    "data.size": "image size",
    "model.name": "network",
}
"""Keys whose last part says too little by itself."""
MODULES = ("model.name", "model.keys.")
"""What a built-in network does not have at all."""
OFF_AT_ZERO = (
    "model.dropout",
    "train.weight_decay",
    "train.label_smoothing",
    "train.mixup",
    "train.cutmix",
    "train.ema",
    "augment.",
)


PHRASES: Mapping[str, Callable[[Any], str]] = {
    "model.init_from": lambda run: "weights from scratch" if run is None else f"weights of {run}",
    "model.freeze": lambda num: (
        "all blocks frozen" if num == "all" else f"{counted(num, 'block')} frozen" if num else "nothing frozen"
    ),
    "train.unfreeze_epoch": lambda epoch: "frozen to the end" if epoch is None else f"unfrozen from epoch {epoch}",
    "train.transferred_rate": lambda rate: (
        "one learning rate for all" if rate == 1 else f"old layers at {rate:g} of the learning rate"
    ),
}
"""Keys that are said in words of their own, with their value."""


def contrast_words(variant: Effect) -> str:
    """ "dropout 0.2 against none"; the variant's name where nothing is known of what it differs in."""
    contrast = variant.contrast
    if not contrast:
        return variant.name
    if len(contrast) == 1:
        [(key, values)] = contrast.items()
        return f"{setting_words(key, values['variant'])} against {value_words(key, values['reference'])}"
    return " against ".join(settings(side_of(contrast, side)) for side in ("variant", "reference"))


def side_of(contrast: Mapping[str, Mapping[str, Any]], side: str) -> dict[str, Any]:
    """The values of one side of a comparison (variant, reference), but for what its network does not have."""
    of_side = {key: values[side] for key, values in contrast.items()}
    return {key: value for key, value in of_side.items() if value is not None or not key.startswith(MODULES)}


def settings(values: Mapping[str, Any]) -> str:
    """Keys and values in words: "batch size 256, no dropout"."""
    return ", ".join(setting_words(key, value) for key, value in values.items())


def setting_words(key: str, value: Any) -> str:
    """A key with its value in words."""
    if key in PHRASES:
        return value_words(key, value)
    name, told = label(key), shown(key, value)
    return f"no {name}" if told == "none" else f"{name} {told}"


def value_words(key: str, value: Any) -> str:
    """A value where its key has been said: "none"; of some keys it takes more than a word."""
    return PHRASES[key](value) if key in PHRASES else shown(key, value)


def label(key: str) -> str:
    """A key in words."""
    return LABELS.get(key, key.partition(".")[2].removeprefix("keys.").replace("_", " "))


def shown(key: str, value: Any) -> str:
    """A key's value in words."""
    if value is None:
        return "all" if key in ("train.limit", "train.per_class") else "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
    return "none" if value == 0 and key.startswith(OFF_AT_ZERO) else f"{value:g}"


def setting(value: Any) -> str:
    """A value as it is written on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(setting, value))}]" if isinstance(value, list) else str(value)


def signed(variant: Effect) -> str:
    """A variant's difference, to the digits that its interval leaves."""
    form = form_of([value for value in (variant.difference, *(variant.interval or [])) if value is not None])
    return f"{variant.difference:+{form}}"


def numbers(variant: Effect) -> str:
    """ "+0.0213 [0.0142, 0.0284], 8 seeds, p = 0.0003 (Holm)", as much of it as there is."""
    if variant.p_holm is None or variant.difference is None:
        return signed(variant)
    text = shifted(variant.difference, variant.interval) + ("" if variant.interval else " on every seed")
    inside = variant.p_equivalent_holm if variant.verdict == "equivalent" else None
    p = variant.p_holm if inside is None else inside
    shown_p = "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
    return f"{text}, {paired_over(variant)}, {shown_p} ({'Holm' if inside is None else 'two one-sided tests, Holm'})"


def paired_over(variant: Effect) -> str:
    """ "8 seeds", or "5 folds x 2 seeds"."""
    return _so_many(variant.num_seeds, variant.num_folds, counted(variant.num_seeds, "seed"))


def tried(found: Effects) -> str:
    """Of how many runs each variant is: "8 seeds", or "5 folds x 2 seeds"."""
    num = len(found.seeds)
    return _so_many(num, found.folds, counted(num, "seed"))


def _so_many(seeds: int, folds: int | None, alone: str) -> str:
    if folds is None:
        return alone
    return counted(folds, "fold") if seeds == 1 else f"{counted(folds, 'fold')} x {counted(seeds, 'seed')}"
