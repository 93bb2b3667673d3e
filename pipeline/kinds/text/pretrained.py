"""Published networks for texts, and their inputs: tokens as their own tokenizer.json makes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.kinds.inputs import Cast, Taken
from pipeline.kinds.kind import Fit
from pipeline.kinds.pretrained import Recipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pipeline.kinds.ragged import Rows

SAID = "tokenizer.json"
FILES = (SAID,)
BUILDING = ("pad",)
MEAN = "mean of tokens"
LAYOUTS = dict.fromkeys(("bert", "distilbert", "electra", "roberta", "xlm-roberta"), MEAN)
SHIFTED = {"roberta": 2, "xlm-roberta": 2}
"""Places before the first token's, which are no text's."""
MOST_TOKENS = 512
_BYTES_PER_TOKEN, _AROUND = 4, 2
"""Roughly, of English; before and after each text."""


def recipe(config: Mapping[str, Any], files: Mapping[str, Any]) -> Recipe:
    """The tokenizer as its file has it, and how many tokens of a text are taken."""
    size, places, pad = (config.get(key) for key in ("vocab_size", "max_position_embeddings", "pad_token_id"))
    shift = SHIFTED.get(config["model_type"], 0)
    if not isinstance(size, int) or not isinstance(places, int) or places - shift < 2:
        raise ValueError(f"config.json: vocab_size = {size!r}, max_position_embeddings = {places!r}: numbers are needed")
    ids = [*_ids(files[SAID])]
    if not ids or not all(isinstance(each, int) for each in ids):
        raise ValueError(f"{SAID}: has no vocabulary; take the file from its source again")
    if max(ids) >= size:
        raise ValueError(f"{SAID}: has a token {max(ids)}, and the network knows {size}; take both from the same source")
    longest = min(MOST_TOKENS, places - shift)
    return {"tokenizer": json.dumps(files[SAID]), "longest": longest, "pad": pad or 0, "tokens": size}


def _ids(tokenizer: Mapping[str, Any]) -> Iterator[Any]:
    model, added = tokenizer.get("model"), tokenizer.get("added_tokens", [])
    vocab = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(vocab, Mapping):
        yield from vocab.values()
    elif isinstance(vocab, list):
        yield from range(len(vocab))
    yield from (each.get("id") for each in added if isinstance(each, Mapping))


def misfit(recipe: Recipe, fit: Fit, shape: Sequence[int]) -> str | None:
    """All texts can be tokenized."""
    return None


def taken(recipe: Recipe, shape: Sequence[int], lengths: Sequence[int] | None) -> Taken:
    """About as many tokens as a text of so many bytes has."""
    assert lengths is not None, "texts are ragged"
    middle, most = (min(recipe["longest"], -(-num // _BYTES_PER_TOKEN) + _AROUND) for num in lengths[1:])
    return Taken((), (1, middle, most), recipe["tokens"])


def to_published(recipe: Recipe, shape: Sequence[int], device: torch.device | str) -> Cast:
    """Ragged uint8, UTF-8 as stored, to ragged tokens int64."""
    import torch
    from tokenizers import Tokenizer

    from pipeline.kinds.ragged import Ragged
    from pipeline.kinds.text.inputs import texts_of

    try:
        tokenizer = Tokenizer.from_str(recipe["tokenizer"])
    except Exception as error:  # its own kinds are not published
        raise ValueError(f"{SAID}: {' '.join(str(error).split())[:200]}; take the file from its source again") from None
    tokenizer.enable_truncation(recipe["longest"])
    tokenizer.no_padding()

    def given(rows: Rows) -> Ragged:
        found = tokenizer.encode_batch([text.decode() for text in texts_of(rows)])
        tokens = torch.tensor([each for text in found for each in text.ids], dtype=torch.int64, device=device)
        return Ragged(tokens, torch.tensor([len(text.ids) for text in found], dtype=torch.int64))

    return given


def named(recipe: Recipe, x: Tensor, lengths: Tensor | None) -> dict[str, Tensor]:
    """Tokens (B, longest), and which of them are a text's."""
    import torch

    assert lengths is not None, "texts are ragged"
    own = torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None]
    return {"input_ids": torch.where(own, x, recipe["pad"]), "attention_mask": own.to(torch.int64)}


def pooled(layout: str, output: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """The mean over a text's tokens, those that fill up left out."""
    mask = inputs["attention_mask"].unsqueeze(-1).float()
    found: Tensor = (output.last_hidden_state * mask).sum(1) / mask.sum(1).clamp_min(1.0)
    return found
