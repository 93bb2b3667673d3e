"""Networks that come along as torch modules, by name: `model=module model.name=NAME`, as one's own are from `extensions.py`.

Each is a function of the shape of a sample and the number of outputs, with keys by name. Nothing of the house is imported by
them but extensions, beside which they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline import extensions
from pipeline.errors import ConfigError

NAMES = ("airbench", "residual", "vit", "spectrogram", "bag", "textcnn", "transformer")


def function(name: str) -> Callable[..., Any]:
    """What makes the network of a name that there is. Reads `extensions.py` for the user's own alone. Imports torch."""
    return _coming_along()[name] if name in NAMES else extensions.registered(extensions.MODELS)[name]


def functions() -> Mapping[str, Callable[..., Any]]:
    """All of them by name; ConfigError where one of the user's has the name of one that comes along. Imports torch."""
    own = extensions.registered(extensions.MODELS)
    if taken := [name for name in own if name in NAMES]:
        raise ConfigError(f"{extensions.FILE}: MODELS has {', '.join(taken)}, which comes along; name yours otherwise")
    return {**_coming_along(), **own}


def _coming_along() -> Mapping[str, Callable[..., Any]]:
    from pipeline.networks.airbench import airbench
    from pipeline.networks.bag import bag
    from pipeline.networks.residual import residual
    from pipeline.networks.spectrogram import spectrogram
    from pipeline.networks.textcnn import textcnn
    from pipeline.networks.transformer import transformer
    from pipeline.networks.vit import vit

    found: tuple[Callable[..., Any], ...] = (airbench, residual, vit, spectrogram, bag, textcnn, transformer)
    return {each.__name__: each for each in found}
