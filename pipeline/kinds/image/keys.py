"""The keys of images: how they are read (`data.*`) and augmented (`augment.*`)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pipeline.schema.augment import AugmentConfig, Probability
from pipeline.schema.base import Section
from pipeline.schema.data import DataConfig

Pixels = Annotated[int, Field(ge=1, le=4096)]
Plain = bool | int | float | str
Share = Annotated[float, Field(ge=0.0, lt=1.0)]

VARIED = ("data.size", "data.resize", "data.channels", "data.max_pixels")
GEOMETRY = ("flip", "vertical_flip", "rotate", "translate", "scale", "shear", "crop")
COLOUR_ONLY = ("saturation", "hue")
OPERATIONS = (*GEOMETRY, "brightness", "contrast", *COLOUR_ONLY, "noise", "erase")


class ImageData(DataConfig):
    """`data.*` of images."""

    content_key = "image"

    size: Pixels | Annotated[list[Pixels], Field(min_length=2, max_length=2)] | None
    """Height and width, or one number for both; null: the images' own size, which must then be one and the same."""
    resize: Literal["pad", "crop", "squash"]
    """pad: all of the image, black beside it; crop: its centre; squash: all of it, stretched."""
    enlarge: bool
    """Whether images smaller than `size` are enlarged; if not, `size` is at most the largest's, and smaller ones are padded."""
    bits: Annotated[int, Field(ge=8, le=32)] | None
    """Of images of more than 8: 0 to 2^bits - 1 becomes 0 to 255; null: the fewest that hold the dataset's largest value."""
    channels: Literal["auto", "grey", "rgb"]
    """auto: grey if all images are stored as grey."""
    max_pixels: Annotated[int, Field(ge=1)]
    """Larger images are not decoded (decompression bombs)."""
    image: str
    """Column of the image (bytes, array or file path) in a parquet or csv source."""

    @property
    def height_and_width(self) -> tuple[int, int] | None:
        """`size` as two numbers."""
        if isinstance(self.size, int):
            return self.size, self.size
        return (self.size[0], self.size[1]) if self.size else None


class Named(Section):
    """One of Kornia's augmentations: its name, how often it is applied, and the keys that it takes."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Plain | list[Plain] | list[list[Plain]]]

    name: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$")]
    p: Probability

    @model_validator(mode="after")
    def _is_per_sample(self) -> Self:
        wrong = sorted({"size", "nfiles", "same_on_batch"} & set(self.__pydantic_extra__))
        if wrong:
            raise ValueError(f"{self.name} takes no {', '.join(wrong)}: images keep their size, and each is drawn for itself")
        return self


class ImagePolicy(AugmentConfig):
    """`augment.*` of images: each operation drawn per sample; 0 switches an operation off."""

    kind = "image"

    flip: Probability
    """Probability of a horizontal flip."""
    flip_alternates: bool
    """Whether a sample is mirrored in every other epoch instead of by chance (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds
    on a single GPU"); those at a probability below 0.5 that often less."""
    vertical_flip: Probability
    rotate: Annotated[float, Field(ge=0.0, le=180.0)]
    """Largest rotation in degrees, either way."""
    translate: Share
    """Largest shift as a share of the side."""
    whole_pixels: bool
    """Whether shifts are by whole pixels. Others blur, which validation samples are not."""
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
    kornia: list[Named]
    """Kornia's augmentations by name, after the operations above, in this order."""

    @property
    def alternates(self) -> bool:
        """Whether views are drawn in turns."""
        return self.flip_alternates and self.flip > 0

    @property
    def active(self) -> bool:
        """Whether any operation is on."""
        built_in = any(getattr(self, name) > 0 for name in OPERATIONS)
        return self.strength > 0 and (built_in or any(entry.p > 0 for entry in self.kornia))

    def scaled(self) -> Self:
        """The same policy with its strength taken into the operations."""
        if self.strength == 1:
            return self
        scaled = {name: getattr(self, name) * self.strength for name in OPERATIONS}
        named = [entry.model_copy(update={"p": entry.p * self.strength}) for entry in self.kornia]
        return self.model_copy(update={"strength": 1.0, **scaled, "kornia": named})

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if self.erase > 0 and self.erase_area == 0:
            raise ValueError("erase is on but erase_area = 0 erases nothing; set erase_area above 0 or erase to 0")
        if self.flip_alternates and self.flip > 0.5:
            raise ValueError(f"flip = {self.flip:g}: with flip_alternates at most 0.5, which mirrors in every other epoch")
        if self.flip_alternates and self.views % 2:
            raise ValueError(f"views = {self.views}: with flip_alternates an even number, since every other one is mirrored")
        return self


DATA, POLICY = ImageData, ImagePolicy
