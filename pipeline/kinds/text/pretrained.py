"""Published networks for texts, and their inputs: tokens as their own tokenizer.json makes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.kinds.kind import Fit
from pipeline.kinds.pretrained import Given, Recipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SAID = "tokenizer.json"
FILES = (SAID,)
MEAN = "mean of tokens"
LAYOUTS = dict.fromkeys(("bert", "distilbert", "electra", "roberta", "xlm-roberta"), MEAN)
SHIFTED = {"roberta": 2, "xlm-roberta": 2}
"""Places before the first token's, which are no text's."""
MOST_TOKENS = 512


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
    return {"tokenizer": json.dumps(files[SAID]), "longest": min(MOST_TOKENS, places - shift), "pad": pad or 0}


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


def to_published(recipe: Recipe, shape: Sequence[int], device: torch.device | str) -> Given:
    """Ragged uint8, UTF-8 as stored, to tokens (B, longest) and which of them are a text's."""
    import torch
    from tokenizers import Tokenizer

    from pipeline.kinds.text.inputs import texts_of

    try:
        tokenizer = Tokenizer.from_str(recipe["tokenizer"])
    except Exception as error:  # its own kinds are not published
        raise ValueError(f"{SAID}: {' '.join(str(error).split())[:200]}; take the file from its source again") from None
    tokenizer.enable_truncation(recipe["longest"])
    tokenizer.enable_padding(pad_id=recipe["pad"])

    def given(rows: Any) -> dict[str, Tensor]:
        found = tokenizer.encode_batch([text.decode() for text in texts_of(rows)])
        ids, mask = ([getattr(each, name) for each in found] for name in ("ids", "attention_mask"))
        return {"input_ids": torch.tensor(ids, device=device), "attention_mask": torch.tensor(mask, device=device)}

    return given


def pooled(how: str, output: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """The mean over a text's tokens, those that fill up left out."""
    mask = inputs["attention_mask"].unsqueeze(-1).float()
    found: Tensor = (output.last_hidden_state * mask).sum(1) / mask.sum(1).clamp_min(1.0)
    return found
