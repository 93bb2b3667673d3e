"""What network is trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from pipeline import extensions, networks
from pipeline.errors import ConfigError
from pipeline.schema.base import Section, nearest

Width = Annotated[int, Field(ge=1, le=65536)]
Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "sigmoid"]


MODULE, BACKBONE, PUBLISHED = "module", "backbone", "hf"
ALL = "all"
LEFT_OUT = ("size", "nfiles")
"""Keys that DVC's run cache looks past at any depth of a parameter (dvc/stage/cache.py)."""
BUILT_IN: Mapping[str, Any] = {
    "channels": [],
    "widths": [],
    "activation": "relu",
    "norm": "none",
    "dropout": 0.0,
    "init": "auto",
}
"""The keys of the built-in networks, as they stand for a module, which does not read them."""
GIVEN = ("num_tokens",)
"""What a module's function gets by name from the data, of tokens how many there are: no key says it."""
RUN_NAME = r"^[\w-]+$"
NO_FOLDER = "conf/model/backbone.yaml"
"""DVC can't depend on null: a folder that is not given."""
NEUTRAL: Mapping[str, Any] = {"init_from": None, "freeze": 0, "backbone": None}
"""Keys that came later, and the values with which a network is what it was before."""
OF_BACKBONE: Mapping[str, Any] = {"backbone": None, "backbone_path": NO_FOLDER}
"""The keys of a pretrained network, as they stand for any other."""
OWN: Mapping[str, Any] = {"name": None, "keys": {}, "compile": False}
"""The keys of a module, as they stand for a built-in network."""


class ModelConfig(Section):
    """`model.*`: read by `train` (and kept in `model.json`, which is all that prediction needs)."""

    arch: Literal["dnn", "cnn", "module", "backbone"]
    """module: a torch module, of pipeline/networks/ or one that `extensions.py` registers."""
    name: str | None
    """module: its name there."""
    keys: dict[str, JsonValue]
    """module: what its function is called with beside the shape of a sample and the number of outputs."""
    compile: bool
    """module: compiled by torch; its bits are then other ones, and its first step takes a minute or more."""
    backbone: Annotated[str, Field(pattern=RUN_NAME)] | None
    """backbone: hf, a published network in the folder `backbone_path`, or the name of one that `extensions.py` registers in
    BACKBONES, whose weights are the file `backbone_path`; a dense head is trained on its features."""
    backbone_path: str
    """A folder, or a file of safetensors, below the project, usually the link `data/NAME`."""
    backbone_kept: Literal["whole", "reference"]
    """Whether its files go along with the trained head, or are looked for where they were by who predicts."""
    channels: list[Width]
    """cnn: output channels of each convolution block (3x3, then 2x2 max pooling); [] for a dnn."""
    widths: list[Width]
    """Units of each hidden dense layer, after the convolutions if there are any; [] leaves the output layer alone."""
    activation: Activation
    norm: Literal["none", "layer"]
    """layer: layer normalisation after each dense layer, group normalisation with one group after each convolution."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Share of hidden units dropped in training, after each activation of a dense layer."""
    init: Literal["auto", "he", "xavier", "lecun"]
    """auto: he for the ReLU family, lecun for selu, xavier for sigmoid and tanh."""
    loss: Literal["auto", "softmax", "sigmoid", "squared", "huber"]
    """auto: sigmoid for two classes (one logit) and for several labels at once, softmax for one of many, squared for numbers.

    huber: the errors of numbers that are more than a deviation off count by themselves, not by their squares.
    """

    init_from: Annotated[str, Field(pattern=RUN_NAME)] | None
    """A finished run, whose best weights this network starts from; null: from its first values."""
    freeze: Annotated[int, Field(ge=0)] | Literal["all"]
    """So many blocks, from the input on, stay as they are in init_from or in a pretrained network: to the end, or to
    train.unfreeze_epoch. all: of a pretrained network, which then makes the features of a sample once."""

    @property
    def is_module(self) -> bool:
        return self.arch == MODULE

    @property
    def makes_features(self) -> bool:
        """Whether a pretrained network stays as it is, and makes features once."""
        return self.arch == BACKBONE and self.freeze == ALL

    @property
    def is_tuned(self) -> bool:
        """Whether a pretrained network's own layers are trained."""
        return self.arch == BACKBONE and self.freeze != ALL

    @property
    def extended(self) -> bool:
        """Whether the network is of `extensions.py`, which is then part of what its results depend on."""
        return is_extended(self.arch, self.name, self.backbone)

    @model_validator(mode="after")
    def _fits(self) -> ModelConfig:
        if problems := [
            *self._unread(),
            *self._nothing_held(),
            *self._folder(),
            *(self._unknown() if self.arch == MODULE else ()),
        ]:
            raise ValueError("\n".join(problems))
        return self

    def _unread(self) -> Iterator[str]:
        """Keys that the network would not read, whatever they say."""
        for key, neutral in unread_keys(self.arch).items():
            if (value := getattr(self, key)) != neutral:
                rather = f"model.keys.{key}=VALUE if its function takes it" if self.arch == MODULE else "model=module"
                forget = f"forget it with `regatta run '~model.{key}'`"
                yield f"{key} = {value!r}: a {self.arch} does not read it; {forget}, or say {rather}"

    def _nothing_held(self) -> Iterator[str]:
        if self.arch == BACKBONE:
            if self.init_from is not None and self.freeze == ALL:
                yield (
                    f"init_from = {self.init_from}: a head over features starts from first values; say null, or model.freeze=0 "
                    "to go on from a run that trained the network's layers"
                )
        elif self.freeze == ALL:
            yield "freeze = all: is of a pretrained network (model=backbone); say how many blocks"
        elif self.freeze and self.init_from is None:
            yield (
                f"freeze = {self.freeze}: without init_from there is nothing to leave as it is; forget it with "
                "`regatta run '~model.freeze'`, or say model.init_from=RUN"
            )

    def _folder(self) -> Iterator[str]:
        """What does not fit of a pretrained network and its folder."""
        say = "say model=backbone model.backbone=hf:FOLDER, or NAME:FILE for one of yours"
        given = self.backbone_path != NO_FOLDER
        if self.arch == BACKBONE and (self.backbone is None or not given):
            yield f"backbone = {self.backbone}, backbone_path = {self.backbone_path}: which network is not said; {say}"
        elif self.arch != BACKBONE and (self.backbone is not None or given):
            yield f"backbone = {self.backbone}, backbone_path = {self.backbone_path}: a {self.arch} reads neither; {say}"
        elif self.backbone not in (None, PUBLISHED):
            yield from self._unregistered()
        if given and leads_out(self.backbone_path):
            yield (
                f"backbone_path = {self.backbone_path!r}: params.yaml holds no path of one machine; `regatta run "
                f"model.backbone={self.backbone or PUBLISHED}:{self.backbone_path}` makes a link to it in data/ and uses that"
            )

    def _unregistered(self) -> Iterator[str]:
        """A pretrained network that is none of the user's. Imports `extensions.py`."""
        try:
            known = [PUBLISHED, *extensions.registered(extensions.BACKBONES)]
        except ConfigError as error:
            yield str(error)
            return
        if self.backbone not in known:
            near = nearest(self.backbone or "", known)
            hint = f"; did you mean {near}?" if near else ""
            yield f"backbone = {self.backbone!r}: there are {', '.join(known)}{hint}; yours go into BACKBONES of extensions.py"

    def _unknown(self) -> Iterator[str]:
        """What is no network, or not so. Imports torch and `extensions.py`, which only a module needs."""
        try:
            found = () if self.name in networks.NAMES else networks.functions()
        except ConfigError as error:
            yield str(error)
            return
        if self.name is None or self.name not in (*networks.NAMES, *found):
            near = nearest(self.name or "", found)
            hint = f"; did you mean {near}?" if near else ""
            yield f"name = {self.name!r}: there are {', '.join(found)}{hint}; yours go into MODELS of extensions.py"
            return
        for key in sorted(self.keys.keys() & set(LEFT_OUT)):
            yield f"keys.{key}: DVC's run cache takes no notice of a key named {key}; name it otherwise in extensions.py"
        yield from wrong_keys(networks.function(self.name), self.keys)


def leads_out(path: str) -> bool:
    """Whether a path is none below the project."""
    return path.startswith(("/", "~")) or ".." in path.split("/")


def wrong_keys(function: Callable[..., Any], keys: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with `model.keys` for a model's function, by its signature."""
    parameters = list(inspect.signature(function).parameters.values())
    named = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)
    allowed = [each.name for each in named if each.name not in GIVEN]
    for key in keys:
        if key not in allowed and not takes_any:
            near = nearest(key, allowed)
            hint = f"did you mean {near}?" if near else f"forget it with `regatta run '~model.keys.{key}'`"
            yield f"keys.{key} = {keys[key]!r}: its function takes {', '.join(allowed) or 'no keys'}; {hint}"
    for each in named:
        if each.name in keys and not _is_of(keys[each.name], each):
            yield f"keys.{each.name} = {keys[each.name]!r}: its function takes {_WORDS[_type_name(each)]}"
        if each.name in allowed and each.default is inspect.Parameter.empty and each.name not in keys:
            yield f"keys.{each.name}: missing, and it has no default; say model.keys.{each.name}=VALUE"


_TYPES: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}


def _type_name(parameter: inspect.Parameter) -> str:
    """The type that a function says of a parameter, as it is written there."""
    said = parameter.annotation
    return said if isinstance(said, str) else getattr(said, "__name__", "")


def _is_of(value: Any, parameter: inspect.Parameter) -> bool:
    """Whether a value is of the type that a function says, where that is a simple one."""
    name = _type_name(parameter)
    return name not in _TYPES or (isinstance(value, _TYPES[name]) and (name == "bool" or not isinstance(value, bool)))


def keys_taken(name: str | None) -> list[str]:
    """The keys that the function of a module's name takes; none where there is no such module. Imports torch."""
    if name not in networks.NAMES and name not in networks.functions():
        return []
    parameters = inspect.signature(networks.function(str(name))).parameters.values()
    return [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY and each.name not in GIVEN]


def is_extended(arch: str, name: str | None, backbone: str | None = None) -> bool:
    """Whether a network of these keys is of `extensions.py`, not one that comes along."""
    if arch == BACKBONE:
        return backbone not in (None, PUBLISHED)
    return arch == MODULE and name not in networks.NAMES


def unread_keys(arch: str) -> Mapping[str, Any]:
    """The keys that a kind of network does not read, with what they then stand at."""
    return BUILT_IN if arch == MODULE else OWN


def switched(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The section with changes that may choose another kind of network, or another module.

    Then keys that the new one would not read are as if never said: nobody has to take them back one by one.
    """
    found = dict(values)
    to_module = changes.get("arch", values["arch"]) == MODULE
    if to_module != (values["arch"] == MODULE):
        found |= BUILT_IN if to_module else OWN
    if changes.get("arch", values["arch"]) != BACKBONE and values["arch"] == BACKBONE:
        found |= {**OF_BACKBONE, "freeze": 0}
    elif changes.get("name", values["name"]) != values["name"]:
        found["keys"] = {}
    own = {key.removeprefix("keys."): value for key, value in changes.items() if key.startswith("keys.")}
    whole = {key: value for key, value in changes.items() if not key.startswith("keys.")}
    found |= whole
    return found | {"keys": {**found["keys"], **own}}
