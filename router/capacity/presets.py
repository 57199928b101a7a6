"""Configurations of published models by name, with what their publishers say of their sizes.

Knows numbers that anybody can read in the models' own config.json and reports. Only fields that capacity depends on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router.capacity.architecture import Architecture
from router.capacity.reading import architecture_of
from router.errors import CapacityError


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """config : as in config.json.   total_b, active_b : published parameters, in billions.   source : of these."""

    config: Mapping[str, Any]
    total_b: float
    active_b: float
    source: str


def preset(name: str) -> Architecture:
    """Raises CapacityError with the names that there are."""
    found = PRESETS.get(name.lower())
    if found is None:
        raise CapacityError(
            f"--config: there is no file and no preset {name!r}; presets are {', '.join(sorted(PRESETS))}"
        )
    return architecture_of(found.config)


def _of(
    family: str, layers: int, hidden: int, heads: int, kv_heads: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    return {
        "model_type": family,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        **more,
    }


def _up_to(tokens: int) -> dict[str, int]:
    return {"max_position_embeddings": tokens}


_GPT_OSS_CARD = "gpt-oss model card, 2025; active counted without the embedding"
_MOE_OF_8 = {"num_local_experts": 8, "num_experts_per_tok": 2}
_GPT_OSS = {
    "head_dim": 64,
    "intermediate_size": 2880,
    "num_experts_per_tok": 4,
    "sliding_window": 128,
    "max_position_embeddings": 131072,
    "quantization_config": {"quant_method": "mxfp4"},
}


def _gpt_oss(layers: int, experts: int) -> dict[str, Any]:
    kinds = ["sliding_attention" if layer % 2 == 0 else "full_attention" for layer in range(layers)]
    return _of("gpt_oss", layers, 2880, 64, 8, 201088, **_GPT_OSS, num_local_experts=experts, layer_types=kinds)


PRESETS: Mapping[str, Preset] = {
    "mixtral-8x7b": Preset(
        config=_of("mixtral", 32, 4096, 32, 8, 32000, intermediate_size=14336, **_MOE_OF_8, **_up_to(32768)),
        total_b=46.7, active_b=12.9, source="Jiang et al., Mixtral of Experts, 2024",
    ),
    "mixtral-8x22b": Preset(
        config=_of("mixtral", 56, 6144, 48, 8, 32768, intermediate_size=16384, **_MOE_OF_8, **_up_to(65536)),
        total_b=141, active_b=39, source="Mistral AI, 2024",
    ),
    "qwen3-30b-a3b": Preset(
        config=_of(
            "qwen3_moe", 48, 2048, 32, 4, 151936, head_dim=128, intermediate_size=6144, moe_intermediate_size=768,
            num_experts=128, num_experts_per_tok=8, max_position_embeddings=40960,
        ),
        total_b=30.5, active_b=3.3, source="Qwen3 technical report, 2025",
    ),
    "deepseek-v3": Preset(
        config=_of(
            "deepseek_v3", 61, 7168, 128, 128, 129280, q_lora_rank=1536, kv_lora_rank=512, qk_nope_head_dim=128,
            qk_rope_head_dim=64, v_head_dim=128, intermediate_size=18432, moe_intermediate_size=2048,
            n_routed_experts=256, num_experts_per_tok=8, n_shared_experts=1, first_k_dense_replace=3,
            max_position_embeddings=163840, num_nextn_predict_layers=1,
        ),
        total_b=671, active_b=37, source="DeepSeek-V3 technical report, 2024",
    ),
    "deepseek-v2-lite": Preset(
        config=_of(
            "deepseek_v2", 27, 2048, 16, 16, 102400, q_lora_rank=None, kv_lora_rank=512, qk_nope_head_dim=128,
            qk_rope_head_dim=64, v_head_dim=128, intermediate_size=10944, moe_intermediate_size=1408,
            n_routed_experts=64, num_experts_per_tok=6, n_shared_experts=2, first_k_dense_replace=1,
            max_position_embeddings=163840,
        ),
        total_b=15.7, active_b=2.4, source="DeepSeek-V2 technical report, 2024",
    ),
    "gpt-oss-120b": Preset(
        config=_gpt_oss(36, 128), total_b=116.83, active_b=5.13, source=_GPT_OSS_CARD
    ),
    "gpt-oss-20b": Preset(
        config=_gpt_oss(24, 32), total_b=20.91, active_b=3.61, source=_GPT_OSS_CARD
    ),
    "olmoe-1b-7b": Preset(
        config=_of(
            "olmoe", 16, 2048, 16, 16, 50304, intermediate_size=1024, num_experts=64, num_experts_per_tok=8,
            max_position_embeddings=4096,
        ),
        total_b=6.9, active_b=1.3, source="Muennighoff et al., OLMoE, 2024",
    ),
    "jetmoe-8b": Preset(
        config=_of(
            "jetmoe", 24, 2048, 32, 16, 32000, kv_channels=128, intermediate_size=5632, **_MOE_OF_8,
            tie_word_embeddings=True, max_position_embeddings=4096,
        ),
        total_b=8.5, active_b=2.3, source="Shen et al., JetMoE, 2024",
    ),
    "grok-1": Preset(
        config=_of(
            "grok-1", 64, 6144, 48, 8, 131072, head_dim=128, intermediate_size=32768, **_MOE_OF_8,
            tie_word_embeddings=True, max_position_embeddings=8192,
        ),
        total_b=314, active_b=86, source="xAI, 2024",
    ),
    "glm-4.5-air": Preset(
        config=_of(
            "glm4_moe", 46, 4096, 96, 8, 151552, head_dim=128, attention_bias=True, intermediate_size=10944,
            moe_intermediate_size=1408, n_routed_experts=128, num_experts_per_tok=8, n_shared_experts=1,
            first_k_dense_replace=1, max_position_embeddings=131072, num_nextn_predict_layers=1,
        ),
        total_b=106, active_b=12, source="GLM-4.5 technical report, 2025",
    ),
    "phi-3.5-moe": Preset(
        config=_of(
            "phimoe", 32, 4096, 32, 8, 32064, intermediate_size=6400, num_local_experts=16, num_experts_per_tok=2,
            attention_bias=True, max_position_embeddings=131072,
        ),
        total_b=41.9, active_b=6.6, source="Abdin et al., Phi-3 technical report, 2024",
    ),
    "llama-3.1-8b": Preset(
        config=_of("llama", 32, 4096, 32, 8, 128256, intermediate_size=14336, max_position_embeddings=131072),
        total_b=8.03, active_b=8.03, source="Llama 3.1 model card, 2024",
    ),
    "llama-3.1-70b": Preset(
        config=_of("llama", 80, 8192, 64, 8, 128256, intermediate_size=28672, max_position_embeddings=131072),
        total_b=70.6, active_b=70.6, source="Llama 3.1 model card, 2024",
    ),
    "qwen2.5-72b": Preset(
        config=_of("qwen2", 80, 8192, 64, 8, 152064, intermediate_size=29568, max_position_embeddings=32768),
        total_b=72.7, active_b=72.7, source="Qwen2.5 technical report, 2024",
    ),
}  # fmt: skip
