"""Tiny models with random weights in the Hugging Face layout, made from a configuration: to try commands, and for tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, get_args

from ctiforge.core.errors import SettingError

__all__ = ["TinyFamily", "write_tiny_random"]

TinyFamily = Literal["gemma3", "gemma3-multimodal", "gemma4", "gemma4-multimodal", "qwen3"]

_SPECIAL = (
    "<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<|turn>", "<turn|>", "<|im_start|>", "<|im_end|>",
    "<image>", "<boi>", "<eoi>", "<audio>",
)  # fmt: skip


def write_tiny_random(folder: str | os.PathLike[str], family: TinyFamily = "gemma3", *, seed: int = 0) -> Path:
    """Write config.json, model.safetensors and a tokenizer of bytes; about 100,000 parameters.

    Args:
        family: the architecture; ``-multimodal`` has a vision tower beside the language model, as the released ones do.

    Raises:
        SettingError: there is no such family.
    """
    import torch
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import logging as progress

    if family not in get_args(TinyFamily):
        raise SettingError(f"unknown family {family!r}", fix=f"choose one of {', '.join(get_args(TinyFamily))}")
    progress.disable_progress_bar()  # type: ignore[no-untyped-call]
    target = Path(folder)
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=_bytes_tokenizer(), bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    torch.manual_seed(seed)
    model = _model(family, len(tokenizer))
    target.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def _bytes_tokenizer() -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*_SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL])
    return tokenizer


def _model(family: TinyFamily, vocabulary: int) -> Any:
    import transformers

    tf: Any = transformers

    shape: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
        "tie_word_embeddings": True,
    }
    if family == "qwen3":
        return tf.Qwen3ForCausalLM(tf.Qwen3Config(num_hidden_layers=3, **shape))
    layers = ["sliding_attention"] * 5 + ["full_attention"]
    gemma = {**shape, "num_hidden_layers": 6, "layer_types": layers, "sliding_window": 16}
    vision: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    places = {"image_token_id": 10, "boi_token_id": 11, "eoi_token_id": 12}
    if family.startswith("gemma3"):
        if family == "gemma3":
            return tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(query_pre_attn_scalar=8, **gemma))
        return tf.Gemma3ForConditionalGeneration(
            tf.Gemma3Config(
                text_config=tf.Gemma3TextConfig(query_pre_attn_scalar=8, **gemma),
                vision_config=tf.SiglipVisionConfig(image_size=28, patch_size=14, **vision),
                mm_tokens_per_image=1,
                image_token_index=10,
                boi_token_index=11,
                eoi_token_index=12,
            )
        )
    per_layer = {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": vocabulary, "global_head_dim": 16}
    twice = {"num_hidden_layers": 12, "layer_types": layers * 2, "num_kv_shared_layers": 6}
    text = tf.Gemma4TextConfig(**per_layer, **(gemma | twice))
    if family == "gemma4":
        return tf.Gemma4ForCausalLM(text)
    pixels = tf.Gemma4VisionConfig(num_key_value_heads=2, head_dim=8, patch_size=4, **vision)
    return tf.Gemma4ForConditionalGeneration(
        tf.Gemma4Config(text_config=text, vision_config=pixels, audio_config=None, **places)
    )
