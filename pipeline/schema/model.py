"""What network is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.schema.base import Section

Width = Annotated[int, Field(ge=1, le=65536)]
Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "sigmoid"]


class ModelConfig(Section):
    """`model.*`: read by `train` (and kept in `model.json`, which is all that prediction needs)."""

    arch: Literal["dnn", "cnn"]
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
    loss: Literal["auto", "softmax", "sigmoid"]
    """auto: sigmoid for two classes (one logit) and for several labels at once, softmax for one of many."""
