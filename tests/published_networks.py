"""Small networks in the published layouts of transformers, made here: a few thousand parameters each, by a seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SIZE = 16
SCALE = {"size": {"height": SIZE, "width": SIZE}, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "resample": 2}


def vit(folder: Path, seed: int = 0, **more: Any) -> Path:
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return saved(ViTModel, ViTConfig(**sizes, image_size=SIZE, patch_size=4, **more), folder, seed, SCALE)


def resnet(folder: Path, seed: int = 0) -> Path:
    from transformers import ResNetConfig, ResNetModel

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return saved(ResNetModel, config, folder, seed, SCALE)


def convnext(folder: Path, seed: int = 0) -> Path:
    from transformers import ConvNextConfig, ConvNextModel

    config = ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=SIZE)
    return saved(ConvNextModel, config, folder, seed, SCALE)


def saved(kind: Any, config: Any, folder: Path, seed: int, said: dict[str, Any]) -> Path:
    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "film", "day", "a", "the", "very", "not"]


def bert(folder: Path, seed: int = 0) -> Path:
    """With a tokenizer that knows a dozen words."""
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    saved(BertModel, BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **sizes), folder, seed, {})
    (folder / "preprocessor_config.json").unlink()
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def of_texts(layout: str, folder: Path, seed: int = 0) -> Path:
    """Of another layout for texts, with the same tokenizer."""
    if layout == "bert":
        return bert(folder, seed)
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    own = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32} if layout == "distilbert" else sizes
    own |= {"embedding_size": 8} if layout == "electra" else {}
    name = {"distilbert": "DistilBert", "roberta": "Roberta", "electra": "Electra"}[layout]
    config = getattr(transformers, f"{name}Config")(vocab_size=len(WORDS), max_position_embeddings=18, pad_token_id=0, **own)
    saved(getattr(transformers, f"{name}Model"), config, folder, seed, {})
    (folder / "preprocessor_config.json").unlink()
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    found = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    found.normalizer, found.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    found.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return found


def wav2vec2(folder: Path, seed: int = 0) -> Path:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    heard = {"conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3), "num_feat_extract_layers": 2}
    config = Wav2Vec2Config(**sizes, **heard, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    return saved(Wav2Vec2Model, config, folder, seed, {"sampling_rate": 8000, "do_normalize": True})
