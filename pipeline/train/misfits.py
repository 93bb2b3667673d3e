"""Keys that do not suit each other, the kind of data, or what is predicted: all that is known before any data are prepared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.data.dataset import Task
from pipeline.data.features import check_views
from pipeline.errors import ConfigError
from pipeline.kinds.keys import keys_of
from pipeline.kinds.views import mirror_of, views_of
from pipeline.model.net import FULL
from pipeline.model.objective import OF_NUMBERS
from pipeline.runs.weights import KEY
from pipeline.schema.augment import AugmentConfig
from pipeline.schema.data import DataConfig
from pipeline.schema.model import ALL, MODULE, ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.monitors import refused


def misfits(data: DataConfig, augment: AugmentConfig, model: ModelConfig, train: TrainConfig) -> Iterator[str]:
    """All of them, a line each. augment: scaled."""
    yield from alone(model, train)
    yield from of_kind(train, data.kind)
    try:
        check_views(model, augment)
    except ConfigError as error:
        yield str(error)
    if data.target == "number":
        yield from of_task(model, train, "number")


def refuse(problems: Iterable[str]) -> None:
    """ConfigError where there are any."""
    if lines := [*problems]:
        raise ConfigError("\n".join(lines))


def alone(model: ModelConfig, train: TrainConfig) -> Iterator[str]:
    """Layers that a network can't have, numbers in which it can't be, batches that there are too few samples for, and keys of a
    start that say nothing."""
    if (model.arch == "cnn") != bool(model.channels):
        allowed = "needs at least one, such as [32, 64]" if model.arch == "cnn" else "has none; say [], or arch: cnn beside it"
        yield f"model.channels = {model.channels}: these are of convolutions, and a {model.arch} {allowed}"
    if train.precision not in ("auto", FULL) and model.arch != MODULE:
        yield (
            f"train.precision = {train.precision!r}: a {model.arch} computes in {FULL}; "
            f"say train.precision={FULL}, or model=module"
        )
    if train.limit is not None and train.shards * train.accumulate > train.limit:
        yield (
            f"train.limit = {train.limit}: a batch has a sample for each of train.shards x train.accumulate = "
            f"{train.shards * train.accumulate} at least; choose at least as many, or fewer of them"
        )
    yield from _unused(model, train)


def _unused(model: ModelConfig, train: TrainConfig) -> Iterator[str]:
    if train.transferred_rate != 1.0 and model.init_from is None and not model.is_tuned:
        yield f"train.transferred_rate = {train.transferred_rate}: nothing is taken over; say {KEY}=RUN, or 1 here"
    if train.unfreeze_epoch is None:
        return
    said = f"train.unfreeze_epoch = {train.unfreeze_epoch}"
    if model.freeze == ALL:
        yield f"{said}: a pretrained network's features are made once; say null here"
    elif not model.freeze:
        yield f"{said}: model.freeze is 0; say e.g. model.freeze=1, or null here"
    elif train.unfreeze_epoch > train.epochs:
        yield f"{said}: training has train.epochs = {train.epochs}; choose at most that"


def of_kind(train: TrainConfig, kind: str) -> Iterator[str]:
    """Samples mixed, boxes pasted or mirror images judged that no data of the kind have."""
    if train.tta == "mirrored" and mirror_of(kind) is None:
        yield f"train.tta = 'mirrored': data of kind {kind} has no mirror image; say train.tta=none"
    if reason := keys_of(kind).DATA.unmixed:
        for name in ("mixup", "cutmix"):
            if value := getattr(train, name):
                yield f"train.{name} = {value}: {reason} can't be mixed; say train.{name}=0"
    elif train.cutmix and not hasattr(views_of(kind), "pasted"):
        yield f"train.cutmix = {train.cutmix}: data of kind {kind} has no boxes to paste; say train.cutmix=0"


def of_task(model: ModelConfig, train: TrainConfig, task: Task) -> Iterator[str]:
    """Keys that do not suit numbers as labels, or are of them alone."""
    if model.loss != "auto" and (model.loss in OF_NUMBERS) != (task == "number"):
        what, other = ("numbers", "squared, huber") if task == "number" else ("classes", "softmax, sigmoid")
        yield f"model.loss = {model.loss!r}: the data's labels are {what}; choose {other} or auto{_forget('model.loss')}"
    if reason := refused(train.monitor, task):
        yield f"train.monitor = {train.monitor!r}: {reason}{_forget('train.monitor')}"
    if task == "number" and train.balance != "none":
        yield (
            f"train.balance = {train.balance!r}: the labels are numbers, and only classes can be balanced; "
            f"say train.balance=none{_forget('train.balance')}"
        )
    if task == "number" and train.label_smoothing:
        yield (
            f"train.label_smoothing = {train.label_smoothing}: the labels are numbers, and only classes can be smoothed; "
            f"say train.label_smoothing=0{_forget('train.label_smoothing')}"
        )


def _forget(key: str) -> str:
    return f", or forget it, if it was said, with `regatta run '~{key}'`"
