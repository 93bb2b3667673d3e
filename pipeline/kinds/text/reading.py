"""Texts on their way into a dataset: from cells of a table or files to UTF-8, and what the training texts teach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.errors import DataError
from pipeline.kinds.arrow import text_numbers
from pipeline.kinds.kind import BadSampleError, Content, Contents, Fit, Layout, loaded
from pipeline.kinds.reading import Decoded, Facts, Inspected, Laid, content_number
from pipeline.kinds.text import synonyms, tokens, vocabulary
from pipeline.kinds.text.cleaning import CONTROLS, MOST_BYTES, cleaned, decoded
from pipeline.kinds.text.keys import TextData
from pipeline.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa

NUM_FACTS = 3
_BYTES, _CONTROLS, _MEMORY = range(NUM_FACTS)
"""Of a text; whether it has control characters; that decoding takes."""
MEMORY = 8
"""Bytes that decoding takes for a byte of text, roughly."""


def max_bytes(data: TextData) -> int:
    """In whatever encoding."""
    return 2 * MOST_BYTES


def described(facts: Facts, data: TextData) -> list[str]:
    """How long the texts are."""
    if not len(facts):
        return []
    low, middle, high, most = np.percentile(facts[:, _BYTES], [5, 50, 95, 100], method="nearest").astype(int).tolist()
    return [f"bytes of a text: {middle:,} (median), {low:,} to {high:,} (90 % of them), {most:,} (longest)"]


def inspect_batch(contents: Contents, judged: NDArray[np.bool_], data: TextData) -> Inspected:
    """Numbers, sizes and control characters."""
    return _inspected_files(contents) if isinstance(contents, list) else _inspected_cells(contents[data.text])


def _inspected_cells(texts: pa.Array) -> Inspected:
    import pyarrow.compute as pc

    sizes = pc.binary_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
    controls = pc.match_substring_regex(texts, f"[{CONTROLS}]").to_numpy(zero_copy_only=False)
    problems = dict.fromkeys(np.flatnonzero(sizes == 0).tolist(), "no text")
    return Inspected(text_numbers(texts), np.stack([sizes, controls, MEMORY * sizes], axis=1).astype(np.int64), problems)


def _inspected_files(contents: Sequence[Content | None]) -> Inspected:
    numbers, facts = np.zeros(len(contents), np.uint64), np.zeros((len(contents), NUM_FACTS), np.int64)
    problems = dict[int, str]()
    for i, content in enumerate(contents):
        try:
            if content is not None:
                found = _as_bytes(content)
                text = decoded(found)
                numbers[i] = content_number(found)
                facts[i] = len(found), any(ord(one) in _CONTROL_CODES for one in {*text}), MEMORY * len(found)
        except BadSampleError as bad:
            problems[i] = str(bad)
    return Inspected(numbers, facts, problems)


_CONTROL_CODES = {*range(9), *range(0x0E, 0x20), *range(0x7F, 0x85), *range(0x86, 0xA0)}


def _as_bytes(content: Content) -> bytes:
    found = loaded(content)
    if not isinstance(found, bytes):
        raise BadSampleError("numbers, and no text")
    return found


def merged(one: None, other: None) -> None:
    """There are no surveys."""


def lay(facts: Facts, survey: None, data: TextData, name: Callable[[int], str]) -> Laid:
    """Bytes of UTF-8."""
    num = int((facts[:, _CONTROLS] != 0).sum())
    have = f"{counted(num, 'text')} {'has' if num == 1 else 'have'}"
    notes = [f"{have} control characters, which are left out, such as that of {name(_first(facts))}"] if num else []
    details: dict[str, Any] = {"vocabulary": data.vocabulary, "synonyms": data.synonyms}
    if data.tokens != "ngrams":
        details["tokens"] = {"how": data.tokens, "length": data.length, "pairs": data.pairs}
    return Laid(Layout((), np.dtype(np.uint8), ragged=True, details=details), notes)


def _first(facts: Facts) -> int:
    return int((facts[:, _CONTROLS] != 0).argmax())


def decode_batch(contents: Contents, numbers: keyed.U64, data: TextData, layout: Layout) -> Decoded:
    """Texts as they are stored. A change of a table meanwhile is told by the file's state, when all has been read."""
    rows, problems = list[list[NDArray[Any]]](), dict[int, str]()
    alone = contents if isinstance(contents, list) else contents[data.text].to_pylist()
    for i, content in enumerate(alone):
        rows.append([])
        try:
            if isinstance(content, str):
                text = content
            else:
                found = _as_bytes(content)
                if content_number(found) != numbers[i]:
                    return Decoded([], {}, i)
                text = decoded(found)
            rows[-1] = [np.frombuffer(cleaned(text), np.uint8)]
        except BadSampleError as bad:
            problems[i] = str(bad)
    return Decoded(rows, problems)


def fit(rows: Iterator[NDArray[Any]], layout: Layout) -> tuple[Fit, list[str]]:
    """The vocabulary of the training texts, and the synonyms of their words; of sequences what tokens there are."""
    hashed, given, asked = layout.details["vocabulary"] == "hashed", layout.details["synonyms"], layout.details.get("tokens")
    words, kept = Counter[str](), list[bytes]()
    texts = _counted((row.tobytes() for row in rows), words if given else None, kept if asked else None)
    known, num = vocabulary.learned(texts, hashed=hashed)
    if not num:
        raise DataError("no n-gram occurs in two training texts, so there is nothing to learn; give more texts")
    found, notes = known.kept(), list[str]()
    if asked:
        found["tokens"] = tokens.learned(iter(kept), **asked, hashed=hashed)
        notes += _token_notes(found["tokens"], kept)
    elif not hashed and num != known.size - 1:
        notes.append(
            f"{num:,} n-grams occur in two training texts or more; the {known.size - 1:,} that occur in most are known"
        )
    if given:
        found["synonyms"], found["synonyms_told"] = synonyms.of_words(Path(given), words)
        notes.append(found["synonyms_told"])
    return found, notes


def _token_notes(kept: dict[str, Any], texts: Sequence[bytes]) -> list[str]:
    """How many tokens are known, and how many training texts are longer than what is taken of them."""
    whole, cut, unknown, num = tokens.sequences({**kept, "length": MOST_BYTES}), 0, 0, 0
    for portion in vocabulary.portions(iter(texts)):
        found = whole(portion)
        cut += int((found.lengths > kept["length"]).sum())
        unknown, num = unknown + int((found.tokens == vocabulary.NOTHING).sum()), num + len(found.tokens)
    are_not = f"{100 * unknown / num:.1f} % of those of the training texts are not"
    said = f"{tokens.size(kept) - 1:,} {_TOKENS[kept['how']]} are known; {are_not}"
    if not cut:
        return [said]
    have = f"{counted(cut, 'training text')} {'has' if cut == 1 else 'have'}"
    return [said, f"{have} more than {kept['length']} of them, and only the beginning is taken (data.length)"]


_TOKENS = {"words": "words", "characters": "characters", "bytepairs": "byte pairs"}


def _counted(texts: Iterator[bytes], words: Counter[str] | None, kept: list[bytes] | None) -> Iterator[bytes]:
    """The texts, their words counted on the way, or they themselves kept."""
    for text in texts:
        if words is not None:
            words.update(synonyms.words_of(text.decode()))
        if kept is not None:
            kept.append(text)
        yield text
