"""Shapes of models that people plan for before they have them: facts of their config.json, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["KNOWN_SHAPES"]

_GEMMA3_270M: dict[str, Any] = {
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "vocab_size": 262144,
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_hidden_layers": 18,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "sliding_window": 512,
    "layer_types": [*["sliding_attention"] * 5, "full_attention"] * 3,
    "tie_word_embeddings": True,
    "max_position_embeddings": 32768,
}

_GEMMA4_E2B: dict[str, Any] = {
    "architectures": ["Gemma4ForCausalLM"],
    "model_type": "gemma4_text",
    "vocab_size": 262144,
    "vocab_size_per_layer_input": 262144,
    "hidden_size": 1536,
    "hidden_size_per_layer_input": 256,
    "intermediate_size": 6144,
    "use_double_wide_mlp": True,
    "num_hidden_layers": 35,
    "num_kv_shared_layers": 20,
    "num_attention_heads": 8,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "global_head_dim": 512,
    "sliding_window": 512,
    "layer_types": [*["sliding_attention"] * 4, "full_attention"] * 7,
    "tie_word_embeddings": True,
    "max_position_embeddings": 131072,
}

_QWEN3_4B: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 151936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": True,
    "max_position_embeddings": 262144,
}

_LLAMA31_8B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 128384,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": False,
    "max_position_embeddings": 131072,
}

KNOWN_SHAPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "gemma3-270m": _GEMMA3_270M,
        "google/gemma-4-E2B-it": _GEMMA4_E2B,
        "Qwen/Qwen3-4B-Instruct-2507": _QWEN3_4B,
        "fdtn-ai/Foundation-Sec-8B-Instruct": _LLAMA31_8B,
    }
)
"""By the name that a recipe or a card uses. Gemma 4 E2B stands for its language model alone, as it is fine-tuned and served."""
