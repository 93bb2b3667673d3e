"""What helps against what, as far as the configuration has not done it already; the first to try first.

The order is that of the textbooks: Goodfellow, Bengio, Courville 2016, chapters 7, 8 and 11 (more data,
augmentation, dropout and weight decay against overfitting; less of them and a larger network against
underfitting); He et al. 2015 and Ba et al. 2016 (ReLU, layer normalisation) against vanishing gradients;
Pascanu et al. 2013 (clipping) against exploding ones; Szegedy et al. 2016, Müller et al. 2019 (label
smoothing) against too much confidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.data.dataset import FEW, SPLITS
from pipeline.kinds.views import views_of
from pipeline.report.run.records import Effect, Records
from pipeline.report.run.rules.finding import Step

NUM_STEPS = 2
"""So many are said of one finding; the rest is for when these have been tried."""
DROPOUTS = (0.2, 0.3, 0.4, 0.5)
MUCH_DECAY = 0.1
LEAST_RATE = 0.1
"""Below which the learning rate of what was taken over is not made smaller (Howard and Ruder 2018 take 1/2.6 a layer)."""
SMALL, LARGE = 32, 4096
"""Units of a layer below which it is not made smaller, and above which not larger."""
SATURATING = ("sigmoid", "tanh", "softplus")
CLIP = 1.0
SMOOTHING = 0.1
MOST_TEST = 0.4
"""The largest share of all samples that is advised for the test split."""
LEAST_TO_CUT = 3 * FEW
"""Samples in all, and no fewer, of which a larger share is advised for the test split: of fewer training would lose a third or
more to it, and most small data is short of training samples first."""
NUM_FOLDS = 5
REGULARISATION = ("model.dropout", "augment", "train.weight_decay")
SAME = {"augment": "augment.strength"}
"""A section's file counts as the key that it switches on."""


def chosen(records: Records, steps: Iterable[Step]) -> tuple[Step, ...]:
    """The first steps that no study of this dataset has found to do harm."""
    good = [step for step in steps if not any(harms(records, step, effect) for effect in records.effects)]
    other = Step("Your studies found what helps otherwise to do harm here; see which others there are", words="study")
    return tuple(good[:NUM_STEPS]) or (other,)


def harms(records: Records, step: Step, effect: Effect) -> bool:
    """Whether a step goes the way that a study has found to hurt, or away from what it has found to help."""
    way = ways(records, step).get(effect.key)
    return way is not None and way == (-effect.way if effect.helps else effect.way)


def ways(records: Records, step: Step) -> dict[str, int]:
    """By key: 1 where a step raises it, -1 where it lowers it; a section's file means more of it."""
    return {SAME.get(key, key): _way(records.project.value(key), value) for key, value in step.changes.items()}


def _way(now: Any, value: Any) -> int:
    """None is a bound that nothing reaches: more than any limit of samples, or of a gradient's norm."""
    if isinstance(value, str):
        return 1
    old, new = (math.inf if v is None else float(sum(v)) if isinstance(v, list) else float(v) for v in (now, value))
    return (new > old) - (new < old)


def opposed(records: Records, one: Step, other: Step) -> bool:
    """Whether two steps undo each other: a key up and down, or the network regularised more and less."""
    first, second = (_with_sums(ways(records, step)) for step in (one, other))
    return any(first[key] * second[key] < 0 for key in first.keys() & second.keys())


def _with_sums(found: Mapping[str, int]) -> dict[str, int]:
    ofs = [way for key, way in found.items() if key.startswith(REGULARISATION)]
    return {**found, **({"regularisation": max(ofs, key=abs)} if ofs else {})}


def go_on(records: Records) -> list[Step]:
    """What a training that has not finished needs before anything else."""
    if records.run.state == "failed":
        return [steadier(records)]
    return [Step("Let it finish")]


def longer(records: Records) -> list[Step]:
    """More epochs, where it trained to its last one."""
    if records.run.state != "finished":
        return go_on(records)
    num = max(len(records.curves.epochs), records.project.train.epochs)
    return [Step("Train longer", {"train.epochs": max(10, 4 * num) if num < 3 else 2 * num})]


def slower(records: Records) -> Step:
    """A third of the learning rate."""
    return Step("Take smaller steps", {"train.learning_rate": _rate(records, 1 / 3)})


def faster(records: Records) -> Step:
    """Three times the learning rate."""
    return Step("Take larger steps", {"train.learning_rate": _rate(records, 3.0)})


def steadier(records: Records) -> Step:
    """A smaller learning rate, and clipping where there is none."""
    train = records.project.train
    clip = {} if train.clip_norm is not None and train.clip_norm <= CLIP else {"train.clip_norm": CLIP}
    return Step("Take smaller, bounded steps", {"train.learning_rate": _rate(records, 1 / 3), **clip})


def _rate(records: Records, factor: float) -> float:
    """The learning rate times a factor, to one digit."""
    return float(f"{factor * records.project.train.learning_rate:.1g}")


def regularised(records: Records) -> list[Step]:
    """Against overfitting."""
    model, train = records.project.model, records.project.train
    steps = [*all_samples(records), *_augmented(records)]
    if model.widths and model.dropout < DROPOUTS[-1]:
        more = next(share for share in DROPOUTS if share > model.dropout)
        steps.append(Step("Drop more hidden units", {"model.dropout": more}))
    if train.weight_decay < MUCH_DECAY:
        decay = min(MUCH_DECAY, max(0.01, float(f"{3 * train.weight_decay:.1g}")))
        steps.append(Step("Decay the weights more", {"train.weight_decay": decay}))
    if model.init_from is not None and train.transferred_rate > LEAST_RATE:
        rate = max(LEAST_RATE, float(f"{train.transferred_rate / 3:.1g}"))
        steps.append(Step("Train what was taken over at a smaller rate", {"train.transferred_rate": rate}))
    if model.init_from is None and model.widths and max(model.widths) > SMALL:
        halved = [max(SMALL, width // 2) for width in model.widths]
        steps.append(Step("Train a smaller network", {"model.widths": halved}))
    steps += more_samples(records)
    return [*steps, Step("Compare what is left by a study", words="study regularisation")]


def _augmented(records: Records) -> list[Step]:
    kind, shape = views_of(records.manifest.kind), records.manifest.shape
    return [Step(words, dict(keys)) for words, keys in kind.advised(shape, records.project.augment)]


def all_samples(records: Records) -> list[Step]:
    """The samples that a limit leaves out; nothing of one that is above what there is."""
    manifest, project = records.manifest, records.project
    num = {
        "prepare.limit": manifest.num_read - manifest.num_rejected,
        "train.limit": manifest.counts["train"],
        "train.per_class": max(manifest.class_counts["train"], default=0),
    }
    limits = {key: project.value(key) for key in num}
    lifted = {key: None for key, limit in limits.items() if limit is not None and limit < num[key]}
    return [Step("Take all samples", lifted)] if lifted else []


def more_samples(records: Records, what: str = "training samples") -> list[Step]:
    """More data, where it is not embedded."""
    if records.project.data.source == "digits":
        return []
    return [Step(f"Add {what} to the data; the next regatta run takes them in", words="")]


def relaxed(records: Records) -> list[Step]:
    """Less regularisation, against underfitting and too little confidence."""
    model, train, augment = (getattr(records.project, name) for name in ("model", "train", "augment"))
    steps = []
    if model.widths and model.dropout > 0:
        share = 0.0 if model.dropout <= DROPOUTS[0] else round(model.dropout / 2, 2)
        steps.append(Step("Drop fewer hidden units", {"model.dropout": share}))
    if augment.active:
        less = round(augment.strength / 2, 2) if augment.strength > 0.5 else 0.0
        steps.append(Step("Augment less", {"augment.strength": less}))
    if train.weight_decay >= MUCH_DECAY:
        decay = float(f"{train.weight_decay / 10:.1g}")
        steps.append(Step("Decay the weights less", {"train.weight_decay": decay}))
    return steps


def thawed(records: Records) -> list[Step]:
    """What model.freeze leaves as it is trained, too, against underfitting: before all else, since the rest can't do it."""
    model, train = records.project.model, records.project.train
    if not model.freeze or model.freeze == "all":  # of a pretrained network only features are there
        return []
    half = max(1, train.epochs // 2)
    if train.unfreeze_epoch is None:
        return [Step("Train the frozen blocks, too, in the second half", {"train.unfreeze_epoch": half})]
    if train.unfreeze_epoch > 1 and train.unfreeze_epoch > half // 2:
        return [Step("Train the frozen blocks sooner", {"train.unfreeze_epoch": max(1, half // 2)})]
    fewer = {"model.freeze": model.freeze - 1}
    return [Step("Freeze fewer blocks", fewer if model.freeze > 1 else {**fewer, "train.unfreeze_epoch": None})]


def larger(records: Records) -> list[Step]:
    """A larger network, against underfitting; nothing where it has the weights of another run, which fit its size alone."""
    model = records.project.model
    if model.init_from is not None:
        return []
    if model.is_module:
        return [_larger_module(records)]
    if not model.widths:
        return [Step("Give it a hidden layer", {"model.widths": [128]})]
    doubled = [max(width, min(LARGE, 2 * width)) for width in model.widths]
    return [Step("Train a larger network", {"model.widths": doubled})] if doubled != model.widths else []


SIZES = ("width", "widths", "channels", "hidden", "units", "dim", "features", "depth", "layers", "blocks")
"""What modules call their size, in words of their keys."""


def _larger_module(records: Records) -> Step:
    """Twice of the first of its own keys that says a size; which others it has is in its code alone."""
    model = records.project.model
    for key, value in model.keys.items():
        if isinstance(value, int) and not isinstance(value, bool) and set(key.split("_")) & set(SIZES):
            return Step(f"Make {model.name} larger", {f"model.keys.{key}": 2 * value})
    return Step(f"Make {model.name} larger, by a key of its own: regatta run model.keys.KEY=VALUE", words="")


def flowing(records: Records) -> list[Step]:
    """Against gradients that fade on their way to the first layer."""
    model, steps = records.project.model, thawed(records)
    if model.init_from is not None:  # other layers would not take its weights
        return [*steps, slower(records)]
    if model.is_module:
        return [
            slower(records),
            Step(f"Give {model.name} normalisation or shortcuts between its layers, in its code", words=""),
        ]
    if model.activation in SATURATING:
        steps.append(Step("Take an activation that does not saturate", {"model.activation": "relu"}))
    if model.norm == "none":
        steps.append(Step("Normalise each layer", {"model.norm": "layer"}))
    if model.init != "auto":
        steps.append(Step("Take the initialisation that suits the activation", {"model.init": "auto"}))
    if model.activation == "relu":
        steps.append(Step("Let no unit die", {"model.activation": "leaky_relu"}))
    if len(model.widths) > 1:
        fewer = model.widths[: len(model.widths) // 2]
        steps.append(Step("Take fewer layers", {"model.widths": fewer}))
    return [*steps, slower(records)]


def bounded(records: Records) -> list[Step]:
    """Against gradients that explode."""
    steps = [steadier(records)]
    model = records.project.model
    without = model.norm == "none" and not model.is_module and model.init_from is None
    norm = [Step("Normalise each layer", {"model.norm": "layer"})] if without else []
    return [*norm, *steps] if "train.clip_norm" not in steps[0].changes else [*steps, *norm]


def humbler(records: Records) -> list[Step]:
    """Against probabilities that promise too much."""
    if records.project.train.label_smoothing < SMOOTHING:
        smooth = [Step("Smooth the labels", {"train.label_smoothing": SMOOTHING})]
        return [*smooth, *regularised(records)]
    return regularised(records)


def surer(records: Records) -> list[Step]:
    """Against probabilities that promise too little."""
    if records.project.train.label_smoothing > 0:
        sharp = [Step("Do not smooth the labels", {"train.label_smoothing": 0.0})]
        return [*sharp, *relaxed(records), *longer(records)]
    return [*relaxed(records), *longer(records)]


def sooner(records: Records) -> list[Step]:
    """Against epochs that cost time and bring nothing."""
    best, num = records.run.best_epoch, len(records.curves.epochs)
    patience = max(2, math.ceil(num / 10))
    now = records.project.train.early_stop
    if not now or now > patience:
        return [Step("Stop where it gets no better", {"train.early_stop": patience})]
    return [Step("Train no longer than it gets better", {"train.epochs": max(1, best)})]


def larger_test(records: Records) -> list[Step]:
    """More test samples: of those that a limit leaves out, of the data's own, or new ones; of little data samples of any kind
    first, then folds, neither of which takes samples from training."""
    prepare, counts = records.project.prepare, records.manifest.counts
    total = sum(counts.values())
    if total < LEAST_TO_CUT and not test_is_given(records):
        return [*all_samples(records), *more_samples(records, "samples"), *_folds(records)] or [by_studies()]
    room = min(MOST_TEST, math.floor(20 * (0.9 - prepare.val_fraction)) / 20)
    share = max(FEW, 2 * counts["test"]) / total
    wanted = min(room, math.ceil(20 * share) / 20)
    steps = all_samples(records)
    if not test_is_given(records) and wanted > prepare.test_fraction:
        steps.append(Step("Set more test samples aside", {"prepare.test_fraction": wanted}))
    steps += more_samples(records, "test samples")
    return steps or [by_studies()]


def _folds(records: Records) -> list[Step]:
    """The next part of train and val as the test split, so that in turn all of them are; the newest samples have none."""
    if records.project.data.time is not None:
        return []
    place, num = records.project.prepare.fold or (0, NUM_FOLDS)
    words = f"Judge it on each of {num} parts of the samples in turn, by prepare.fold"
    return [Step(words, {"prepare.fold": [place % num + 1, num]})]


def larger_validation(records: Records, least: int, classes: Sequence[int]) -> list[Step]:
    """So many validation samples of these classes together: of those a limit leaves out, the data's own, or new ones."""
    prepare, counts = records.project.prepare, records.manifest.class_counts
    there = sum(counts[split][i] for split in SPLITS for i in classes)
    room = min(MOST_TEST, math.floor(20 * (0.9 - prepare.test_fraction)) / 20)
    wanted = math.ceil(20 * least / max(there, 1)) / 20
    steps = all_samples(records)
    if not is_given(records, "val", prepare.val_fraction) and prepare.val_fraction < wanted <= room:
        steps.append(Step("Set more validation samples aside", {"prepare.val_fraction": wanted}))
    of_some = "samples of it" if len(classes) == 1 else "samples of such labels"
    steps += more_samples(records, "validation samples" if len(classes) == len(counts["val"]) else of_some)
    return steps or [by_studies()]


def test_is_given(records: Records) -> bool:
    """Whether the test split came with the data, so that no fraction changes it."""
    return records.project.data.source == "idx" or is_given(records, "test", records.project.prepare.test_fraction)


def is_given(records: Records, split: str, fraction: float) -> bool:
    """Whether a split came with the data: by keys, else by its size, which is not that fraction of all."""
    data, counts = records.project.data, records.manifest.counts
    if getattr(data, f"{split}_path") is not None or data.split is not None:
        return True
    return not 0.5 < counts[split] / sum(counts.values()) / max(fraction, 1e-9) < 1.5


def another_split(records: Records) -> list[Step]:
    """Whether what is seen lies in how the samples were dealt out."""
    if test_is_given(records):
        return [Step("See how many choices were made on the validation split", words="runs")]
    seed = records.project.prepare.split_seed + 1
    return [Step("See whether other splits say so too", {"prepare.split_seed": seed})]


def by_studies() -> Step:
    """How to choose without looking at the test split."""
    return Step("Choose by studies, which judge on validation samples; these there are", words="study")
