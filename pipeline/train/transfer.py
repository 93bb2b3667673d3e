"""What a network takes over from a trained one: the weights of another run's best epoch, by the names of its tensors.

Outputs are new where classes or targets are others; the weights of n-grams go where the same n-grams are now; the first
convolution takes other channels as if an image were grey in both. All other shapes must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.backbones.folder import Backbone
from pipeline.backbones.named import opened
from pipeline.backbones.tuned import NAME
from pipeline.data.dataset import Manifest
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Taken as Inputs
from pipeline.kinds.inputs import meanings_of
from pipeline.kinds.inputs import taken as taken_by
from pipeline.model.net import BUFFER, TRAINED, Layout, Slot
from pipeline.model.specs import spec_of
from pipeline.runs.weights import KEY, SHAPING, Source, source_named
from pipeline.schema.model import BACKBONE, ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.groups import Factors
from pipeline.wording import counted, first_of, so_many

GREY, COLOURS = 1, 3
"""Channels of an image."""


@dataclass(frozen=True)
class Taken:
    """Values of one tensor, in its shape."""

    values: NDArray[np.float32]
    rows: NDArray[np.bool_] | None = None
    """Which of them, along its first axis; None: all."""


@dataclass(frozen=True)
class Start:
    """Where a network starts from in place of its first values."""

    run: str
    digest: str
    """SHA-256 of the weights."""
    new: tuple[str, ...]
    """Tensors that start as in any network."""
    notes: tuple[str, ...]
    held: tuple[str, ...]
    """Tensors that stay as they are, for a while or to the end."""
    factors: tuple[Factors, ...]
    """What the learning rate of the tensors that were taken over is multiplied by."""
    tensors: Mapping[str, Taken] = field(compare=False, repr=False)

    def write(self, layout: Layout, flat: Any) -> None:
        """Over the first values of all networks in `flat` (K, columns), a tensor."""
        import torch

        for slot, view in zip(layout.slots, layout.views(flat), strict=True):
            if (own := self.tensors.get(slot.name)) is None:
                continue
            place, values = view[..., : slot.shape[-1]] if slot.spare else view, torch.from_numpy(own.values)
            if own.rows is None:
                place.copy_(values)
            else:
                rows = torch.from_numpy(own.rows)
                place[:, rows] = values[rows].to(place.device)

    def told(self, unfreeze_epoch: int | None) -> dict[str, Any]:
        """For the run's record."""
        return {
            "run": self.run,
            "weights": self.digest,
            "taken": len(self.tensors),
            "new": list(self.new),
            "held": list(self.held),
            "unfreeze_epoch": unfreeze_epoch,
            "notes": list(self.notes),
        }

    def words(self, unfreeze_epoch: int | None) -> str:
        """In one line: what was taken over, what is new, and what is trained less than the rest or not."""
        parts = [f"starts from the weights of {self.run}: {counted(len(self.tensors), 'tensor')} taken over"]
        parts += [f"new: {first_of(self.new, 6)}"] if self.new else []
        if self.held and unfreeze_epoch != 1:
            how_long = f"before epoch {unfreeze_epoch}" if unfreeze_epoch else "to the end"
            every = self.tensors.keys() <= {*self.held}
            parts += [f"frozen {how_long}: {'all that was taken over' if every else first_of(self.held, 6)}"]
        if self.factors:
            parts += [f"the learning rate of what was taken over is multiplied by {self.factors[0].learning_rate:g}"]
        return "; ".join([*parts, *self.notes])


def start_of(
    model: ModelConfig,
    train: TrainConfig,
    data: Manifest,
    inputs: Inputs,
    outputs: int,
    backbone: Backbone | None = None,
    plan: Mapping[str, Any] | None = None,
) -> Start | None:
    """Where a configuration has its network start; None: from its own first values. ConfigError names all that does not fit.

    inputs, outputs: what the network takes and how many logits it has. backbone, plan: a pretrained network whose layers are
    trained.
    """

    def layout(inputs: Inputs, outputs: int) -> Layout:
        return spec_of({**model.model_dump(), "plan": plan}, inputs, outputs).layout()

    if model.init_from is None:
        if backbone is None:
            return None
        return _of_backbone(backbone, layout(inputs, outputs), model.freeze, train.transferred_rate)
    assert isinstance(model.freeze, int), "features have no start"
    # What depends on the number of outputs, or of tokens, shows in a network with another number.
    source, own, of_outputs = _source(model.init_from, backbone), layout(inputs, outputs), layout(inputs, outputs + 1)
    of_tokens = own if plan else None  # a published one has its own tokens, whatever the data's are
    if inputs.num_tokens and not plan:
        of_tokens = layout(replace(inputs, num_tokens=inputs.num_tokens + 1), outputs)
    return _Fitting(source, model, data, own, of_outputs, of_tokens).start(model.freeze, train.transferred_rate)


def _source(run: str, backbone: Backbone | None) -> Source:
    """ConfigError where it can't be started from: a pretrained network's trained layers fit that network alone, its heads none.

    backbone: whose layers are trained; None: there is none.
    """
    source = source_named(run)
    if backbone is not None:
        trained = (source.described["backbone"] or {}).get("plan")
        if trained is None or trained["digest"] != backbone.digest:
            raise ConfigError(
                f"{KEY} = {source.run}: it has not trained the layers of {backbone}; choose a run that has, or say {KEY}=null"
            )
    elif source.described["model"]["arch"] == BACKBONE:
        raise ConfigError(
            f"{KEY} = {source.run}: it had a backbone, and no other network can start from such a one (docs/backbones.md); "
            f"choose a run without, or say {KEY}=null model.freeze=0"
        )
    return source


def check_names(model: ModelConfig, kind: str) -> None:
    """ConfigError where a configuration can't start from its run whatever the data are: of another kind, with tensors of other
    names, or with fewer blocks than are to be left as they are."""
    assert model.init_from is not None
    assert isinstance(model.freeze, int), "all is of a pretrained network"
    source = _source(model.init_from, _opened(model, kind))
    known = source.described["input"]
    if known["kind"] != kind:
        raise ConfigError(
            f"{KEY} = {source.run}: it was trained on {known['kind']} data, this is {kind} data; choose another run"
        )
    if model.is_tuned:  # the same network: the rest is seen with the data
        return
    inputs = taken_by(known["kind"], known["fit"], known["shape"], known["lengths"])
    try:
        layout = spec_of(model.model_dump(), inputs, source.described["num_outputs"]).layout()
    except ConfigError:  # a module that takes no inputs such as those there: whether it takes those here is seen with them
        return
    names = [slot.name for slot in layout.slots]
    problems = [f"it has no {name}" for name in names if name not in source.tensors]
    more = [name for name in source.tensors if name not in names]
    problems += [f"it has {first_of(more, 4)} beside"] if more else []
    if problems:
        its = _other_keys(source, model)
        raise ConfigError(
            f"{KEY} = {source.run}: another network than this one: {first_of(problems, 5)}. It was trained{its}; choose the "
            "same, or another run"
        )
    _held(layout, model.freeze, [])


def _opened(model: ModelConfig, kind: str) -> Backbone | None:
    return opened(str(model.backbone), Path(model.backbone_path), kind) if model.is_tuned else None


def _of_backbone(backbone: Backbone, layout: Layout, freeze: int | str, rate: float) -> Start:
    """A pretrained network's own tensors; those of the head start as in any network."""
    from pipeline.backbones.loading import own_tensors

    assert isinstance(freeze, int), "its layers are trained"
    own = {f"{NAME}.{name}": values for name, values in own_tensors(backbone).items()}
    taken = {slot.name: Taken(own[slot.name]) for slot in layout.slots if slot.name in own}
    new = [slot.name for slot in layout.slots if not slot.name.startswith(f"{NAME}.")]
    return Start(
        run=backbone.path.as_posix(),
        digest=backbone.digest,
        new=tuple(new),
        notes=(),
        held=_held(layout, freeze, new),
        factors=_slower(layout, taken, rate),
        tensors=taken,
    )


def _slower(layout: Layout, taken: Mapping[str, Taken], rate: float) -> tuple[Factors, ...]:
    """For the tensors that were taken over and are stepped."""
    stepped = [slot.name for slot in layout.slots if slot.role == TRAINED and slot.name in taken]
    return tuple(Factors(escape(name), rate, 1.0) for name in stepped) if rate != 1.0 else ()


@dataclass(frozen=True)
class _Fitting:
    """One network's weights against another's layout."""

    source: Source
    model: ModelConfig
    data: Manifest
    layout: Layout
    of_outputs: Layout
    of_tokens: Layout | None

    def start(self, freeze: int, rate: float) -> Start:
        taken, problems, new = {}, [*self._kind_problems()], []
        same_answers = self._same_answers()
        for slot in self.layout.slots:
            if slot.name in self._outputs and not same_answers:
                new.append(slot.name)
            elif slot.name not in self.source.tensors:
                problems.append(f"it has no {slot.name}")
            elif slot.name in self._tokens and self._has_shape(slot):
                taken[slot.name] = self._of_same_tokens(self.source.tensors[slot.name], slot)
            elif (values := self._fitted(self.source.tensors[slot.name], slot)) is not None:
                taken[slot.name] = Taken(values)
            else:
                there, here = self.source.tensors[slot.name].shape, slot.shape
                problems.append(f"its {slot.name} is {_shape(there)}, here it is {_shape(here)}")
        more = [name for name in self.source.tensors if name not in {slot.name for slot in self.layout.slots}]
        problems += [f"it has {first_of(more, 4)} beside"] if more else []
        if problems:
            raise ConfigError(self._misfit(problems))
        return Start(
            run=self.source.run,
            digest=self.source.digest,
            new=tuple(new),
            notes=tuple(self._notes(taken)),
            held=_held(self.layout, freeze, new),
            factors=_slower(self.layout, taken, rate),
            tensors=taken,
        )

    @cached_property
    def _outputs(self) -> frozenset[str]:
        """Tensors that depend on how many outputs there are."""
        return _differing(self.layout, self.of_outputs)

    @cached_property
    def _tokens(self) -> frozenset[str]:
        """Tensors that depend on how many tokens there are."""
        return _differing(self.layout, self.of_tokens)

    def _kind_problems(self) -> Iterator[str]:
        there, here = self.source.described["input"], self.data
        if there["kind"] != here.kind:
            yield f"it was trained on {there['kind']} data, this is {here.kind} data"
            return
        meanings = meanings_of(here.kind)
        if meanings and self.of_tokens is None and meanings(there["fit"]) != meanings(here.fit):
            yield "its inputs mean other things (columns, their pieces and values), so its first layer says nothing here"

    def _same_answers(self) -> bool:
        there, here = self.source.described, self.data
        mine = (here.task, list(here.classes), list(here.targets))
        same_shapes = all(self._has_shape(slot) for slot in self.layout.slots if slot.name in self._outputs)
        return mine == (there["task"], list(there["classes"]), list(there["targets"])) and same_shapes

    def _has_shape(self, slot: Slot) -> bool:
        """Of what depends on tokens the other axes count."""
        there, first = self.source.tensors.get(slot.name), int(slot.name in self._tokens)
        return there is not None and there.shape[first:] == slot.shape[first:]

    def _of_same_tokens(self, values: NDArray[np.float32], slot: Slot) -> Taken:
        places, known = self._places
        found = np.zeros(slot.shape, np.float32)
        found[known] = values[places[known]]
        return Taken(found, known)

    @cached_property
    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Of each token here its place there, and whether it has one."""
        meanings = meanings_of(self.data.kind)
        assert meanings is not None, "tokens mean something"
        there = {meaning: place for place, meaning in enumerate(meanings(self.source.described["input"]["fit"]))}
        places = np.array([there.get(meaning, -1) for meaning in meanings(self.data.fit)], np.int64)
        return places, places >= 0

    def _fitted(self, values: NDArray[np.float32], slot: Slot) -> NDArray[np.float32] | None:
        if values.shape == slot.shape:
            return values
        there, here = self._channels
        first = values.ndim == 4 and values.shape == (slot.shape[0], there, *slot.shape[2:]) and slot.shape[1] == here
        if not first or {there, here} != {GREY, COLOURS}:
            return None
        # A grey image is one of three equal channels: it gets the same answer as before.
        return np.ascontiguousarray(np.broadcast_to(values.sum(axis=1, keepdims=True) / here, slot.shape))

    @property
    def _channels(self) -> tuple[int, int]:
        """Of images there and here."""
        if self.data.kind != "image" or self.model.is_tuned:  # a published one takes its own
            return 0, 0
        return self.source.described["input"]["shape"][0], self.data.shape[0]

    def _notes(self, taken: Mapping[str, Taken]) -> Iterator[str]:
        there, here = self._channels
        if there != here:
            yield f"the first convolution's weights of {counted(there, 'channel')} taken for {here}"
        if self._tokens & taken.keys():
            _, known = self._places
            yield f"{int(known.sum()):,} of {len(known):,} tokens were known there"

    def _misfit(self, problems: list[str]) -> str:
        more = f" and {len(problems) - 5:,} more" if len(problems) > 5 else ""
        there, here = ("x".join(map(str, shape)) for shape in (self.source.described["input"]["shape"], self.data.shape))
        other = f", these are of {here} (data.size)" if there != here else ""
        return (
            f"{KEY} = {self.source.run}: another network than this one: {'; '.join(problems[:5])}{more}. It was trained on "
            f"samples of {there}{other}{_other_keys(self.source, self.model)}; choose the same, or another run"
        )


def _other_keys(source: Source, model: ModelConfig) -> str:
    """What a network's tensors depend on, where the source has it otherwise."""
    there, here = source.described["model"], model.model_dump()
    other = [f"model.{key}={there[key]}" for key in SHAPING if there[key] != here[key]]
    return f" with {', '.join(other)}" if other else ""


def _differing(layout: Layout, other: Layout | None) -> frozenset[str]:
    """Tensors whose shape is another one there."""
    if other is None:
        return frozenset()
    shapes = {slot.name: slot.shape for slot in other.slots}
    return frozenset(slot.name for slot in layout.slots if shapes.get(slot.name) != slot.shape)


def blocks(layout: Layout) -> dict[str, list[Slot]]:
    """The tensors block by block, input side first: a layer, or each part of one whose parts are numbered."""
    found: dict[str, list[Slot]] = {}
    for slot in sorted(layout.slots, key=lambda slot: slot.role == BUFFER):
        found.setdefault(_block(slot), []).append(slot)
    return found


def _block(slot: Slot) -> str:
    parts = slot.name.split(".")
    numbered = next((i for i, part in enumerate(parts) if part.isdigit()), None)
    return slot.layer if numbered is None else ".".join(parts[: numbered + 1])


def _held(layout: Layout, freeze: int, new: list[str]) -> tuple[str, ...]:
    """The tensors of the first blocks; ConfigError where there are fewer blocks or some are new."""
    there = blocks(layout)
    old = [name for name, slots in there.items() if not any(slot.name in new for slot in slots)]
    most = min(len(old), len(there) - 1)
    if freeze > most:
        fresh = [name for name in there if name not in old]
        are_new = so_many(len(fresh), f"{fresh[0]} is new", f"{', '.join(fresh)} are new") if fresh else ""
        why = f"of which {are_new}" if fresh else "and the last one must be trained"
        raise ConfigError(f"model.freeze = {freeze}: at most {most} here; the blocks are {', '.join(there)}, {why}")
    return tuple(slot.name for name in list(there)[:freeze] for slot in there[name])


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
