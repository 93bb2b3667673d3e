"""The image policy, each operation drawn per sample; 0 switches an operation off."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.schema.base import Section

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]

GEOMETRY = ("flip", "vertical_flip", "rotate", "translate", "scale", "shear", "crop")
COLOUR_ONLY = ("saturation", "hue")
OPERATIONS = (*GEOMETRY, "brightness", "contrast", *COLOUR_ONLY, "noise", "erase")


class AugmentConfig(Section):
    """`augment.*`."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    """Not the run's seed: runs of different seeds share their augmented images."""
    views: Annotated[int, Field(ge=0, le=256)]
    """Augmented copies written per training sample; 0: none are written, each batch draws its own."""
    strength: Probability
    """Share of every strength and probability below: 1 as given, 0 no augmentation."""
    flip: Probability
    """Probability of a horizontal flip."""
    vertical_flip: Probability
    rotate: Annotated[float, Field(ge=0.0, le=180.0)]
    """Largest rotation in degrees, either way."""
    translate: Share
    """Largest shift as a share of the side."""
    scale: Share
    """Zoom drawn from 1 - scale to 1 + scale."""
    shear: Annotated[float, Field(ge=0.0, le=60.0)]
    """Largest shear in degrees."""
    crop: Share
    """A random crop keeps at least 1 - crop of the area, sides in a ratio of 3:4 to 4:3, and is resized to the whole."""
    padding: Literal["zeros", "border", "reflection"]
    """What lies outside of the image: black, the nearest pixel, or the image mirrored."""
    brightness: Probability
    """Factor drawn from 1 - brightness to 1 + brightness; likewise contrast and saturation."""
    contrast: Probability
    saturation: Probability
    """Colour images only."""
    hue: Annotated[float, Field(ge=0.0, le=0.5)]
    """Largest turn of the hue, as a share of the circle; colour images only."""
    noise: Probability
    """Largest standard deviation of noise, as a share of the range."""
    erase: Probability
    """Probability that a rectangle is erased."""
    erase_area: Probability
    """Largest erased share of the area."""
    erase_value: Probability
    """Grey of the erased rectangle: 0 black, 1 white."""

    @property
    def active(self) -> bool:
        """Whether any operation is on."""
        return self.strength > 0 and any(getattr(self, name) > 0 for name in OPERATIONS)

    def scaled(self) -> AugmentConfig:
        """The same policy with its strength taken into the operations."""
        if self.strength == 1:
            return self
        return self.model_copy(update={"strength": 1.0} | {name: getattr(self, name) * self.strength for name in OPERATIONS})

    @model_validator(mode="after")
    def _can_be_drawn(self) -> AugmentConfig:
        if self.erase > 0 and self.erase_area == 0:
            raise ValueError("erase is on but erase_area = 0 erases nothing; set erase_area above 0 or erase to 0")
        return self
