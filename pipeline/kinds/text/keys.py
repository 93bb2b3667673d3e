"""The keys of texts: how they are read (`data.*`) and augmented (`augment.*`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.schema.augment import AugmentConfig, Probability
from pipeline.schema.data import DataConfig
from pipeline.wording import from_to

Names = list[Annotated[str, Field(min_length=1)]]
INSTALL = "data.tokens = bytepairs needs tokenizers: say `pip install tokenizers`"
VARIED = ("data.vocabulary", "data.tokens", "data.length", "data.pairs")
OPERATIONS = ("synonyms", "insert", "swap", "delete")


class TextData(DataConfig):
    """`data.*` of texts."""

    content_key = "text"
    in_cells = True
    takes_synonyms = True
    sample_files = frozenset({"txt"})
    unmixed = "texts, rows of different lengths,"

    size: None
    """Texts have none."""
    text: str
    """Column of a table, or key of JSON lines, that holds the text."""
    header: Names | None
    """Names of the columns of a CSV without a line that names them; null: its first line does."""
    vocabulary: Literal["learned", "hashed"]
    """learned: the n-grams of the training texts; hashed: none is kept, all share a fixed number of places."""
    tokens: Literal["ngrams", "words", "characters", "bytepairs"]
    """ngrams: a bag of weighted ones; others: sequences of tokens in their order."""
    length: Annotated[int, Field(ge=1, le=65_536)]
    """Tokens of a sequence; of longer ones the beginning is taken."""
    pairs: Annotated[int, Field(ge=257, le=100_000)]
    """How many byte pairs there are, the 256 bytes and the one for nothing among them."""

    @model_validator(mode="after")
    def _has_no_words_to_hide(self) -> Self:
        if self.tokens == "bytepairs" and self.vocabulary == "hashed":
            raise ValueError("vocabulary = hashed: byte pairs are parts of words, which a model keeps; say tokens=words")
        return self

    @property
    def needs(self) -> Mapping[str, str]:
        """As the base has it."""
        return {"tokenizers": INSTALL} if self.tokens == "bytepairs" else {}

    @classmethod
    def form(cls, shape: Sequence[int], lengths: Sequence[int] | None) -> str:
        """As the base has it."""
        return f"texts of {from_to(lengths)} bytes" if lengths else "texts in UTF-8"


class TextPolicy(AugmentConfig):
    """`augment.*` of texts: the operations of EDA (Wei and Zou 2019), each drawn for every word; 0 switches one off."""

    kind = "text"

    synonyms: Probability
    """Of a word to be replaced by one of its synonyms (`data.synonyms`), unless it is a stop word. Likewise the next."""
    insert: Probability
    """For a synonym of any other word to be inserted somewhere."""
    swap: Probability
    """To change places with another one."""
    delete: Probability
    """To be left out."""

    @property
    def active(self) -> bool:
        """Whether any operation is on."""
        return self.strength > 0 and any(getattr(self, name) for name in OPERATIONS)

    def scaled(self) -> Self:
        """The same policy with its strength taken into the operations."""
        own = {name: getattr(self, name) * self.strength for name in OPERATIONS}
        return self if self.strength == 1 else self.model_copy(update={"strength": 1.0, **own})


DATA, POLICY = TextData, TextPolicy
