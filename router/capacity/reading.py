"""A model's config.json, as its publisher wrote it, to an ``Architecture``.

Knows the names that families of models give to the same things. Guesses nothing: a field that is needed and
missing is an error with its name.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from router.capacity.architecture import Architecture, Dense, Experts, GroupedAttention, LatentAttention
from router.errors import CapacityError

Config = Mapping[str, Any]


def read(path: Path) -> Architecture:
    """Raises CapacityError where the file is none, or lacks what its family needs."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CapacityError(f"--config {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CapacityError(f"--config {path}: is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise CapacityError(f"--config {path}: must be a JSON object, a model's config.json")
    try:
        return architecture_of(config)
    except CapacityError as error:
        raise CapacityError(f"--config {path}: {error}") from error


def architecture_of(config: Config) -> Architecture:
    """Raises CapacityError for a family that is not known, and for fields that are missing or of a wrong kind."""
    text = config.get("text_config")
    if isinstance(text, Mapping):  # models that also see wrap their language model
        config = {"model_type": config.get("model_type"), **text}
    family = str(config.get("model_type"))
    reader = _FAMILIES.get(family)
    if reader is None:
        raise CapacityError(f"model_type: {family!r} is not known; known are {', '.join(sorted(_FAMILIES))}")
    return reader(config)


def _whole(config: Config, *names: str, default: int | None = None) -> int:
    """The first of several names that is there; a positive whole number."""
    for name in names:
        value = config.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CapacityError(f"{name}: must be a positive whole number, not {value!r}")
        return value
    if default is None:
        raise CapacityError(f"{' or '.join(names)}: is missing")
    return default


def _grouped(config: Config, **more: Any) -> GroupedAttention:
    hidden, heads = _whole(config, "hidden_size"), _whole(config, "num_attention_heads")
    kv_heads = _whole(config, "num_key_value_heads", default=heads)
    if heads % kv_heads:
        raise CapacityError(f"num_key_value_heads: {kv_heads} does not divide num_attention_heads, {heads}")
    head_dim = _whole(config, "head_dim", default=hidden // heads)
    biased = bool(config.get("attention_bias"))
    given = {"bias_qkv": biased, **more}
    return GroupedAttention(hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim, **given)


def _windows(config: Config, layers: int) -> tuple[int | None, ...]:
    """Of each layer; a window counts only where the config says that it is in use."""
    window = config.get("sliding_window")
    if window is None or config.get("use_sliding_window") is False:
        return (None,) * layers
    window = _whole(config, "sliding_window")
    kinds = config.get("layer_types")
    if kinds is None:
        return (window,) * layers
    if not isinstance(kinds, list) or len(kinds) != layers:
        raise CapacityError(f"layer_types: must list {layers} layers, as num_hidden_layers says")
    unknown = {str(kind) for kind in kinds} - {"sliding_attention", "full_attention"}
    if unknown:
        raise CapacityError(
            f"layer_types: {', '.join(sorted(unknown))}: only full_attention and sliding_attention are known"
        )
    return tuple(window if kind == "sliding_attention" else None for kind in kinds)


def _built(
    config: Config,
    attention: GroupedAttention | LatentAttention,
    feed_forward: Callable[[int], Dense | Experts],
    **more: Any,
) -> Architecture:
    layers, hidden = _whole(config, "num_hidden_layers"), _whole(config, "hidden_size")
    given: dict[str, Any] = {"windows": _windows(config, layers), "norms": 2 * hidden, **more}
    context = config.get("max_position_embeddings")
    return Architecture(
        family=str(config["model_type"]),
        hidden=hidden,
        vocabulary=_whole(config, "vocab_size"),
        tied=bool(config.get("tie_word_embeddings", False)),
        attention=attention,
        feed_forward=tuple(feed_forward(layer) for layer in range(layers)),
        context=context if isinstance(context, int) else None,
        **given,
    )


def _dense(config: Config) -> Architecture:
    biased = str(config["model_type"]) == "qwen2"
    head_dim = _whole(
        config, "head_dim", default=_whole(config, "hidden_size") // _whole(config, "num_attention_heads")
    )
    normed = 2 * head_dim if str(config["model_type"]) == "qwen3" else 0
    part = Dense(hidden=_whole(config, "hidden_size"), width=_whole(config, "intermediate_size"))
    attention = _grouped(config, normed=normed, **({"bias_qkv": True} if biased else {}))
    return _built(config, attention, lambda _layer: part)


def _mixtral(config: Config) -> Architecture:
    part = Experts(
        hidden=_whole(config, "hidden_size"),
        count=_whole(config, "num_local_experts"),
        per_token=_whole(config, "num_experts_per_tok"),
        width=_whole(config, "intermediate_size"),
    )
    phi = config["model_type"] == "phimoe"
    attention = _grouped(config, bias_out=phi and bool(config.get("attention_bias")))
    norms = _whole(config, "hidden_size") * (4 if phi else 2)  # Phi's layer norms have biases
    return _built(config, attention, lambda _layer: part, norms=norms)


def _qwen_moe(config: Config) -> Architecture:
    hidden = _whole(config, "hidden_size")
    older = config["model_type"] == "qwen2_moe"
    shared = _whole(config, "shared_expert_intermediate_size") if older else 0
    mixture = Experts(
        hidden=hidden,
        count=_whole(config, "num_experts"),
        per_token=_whole(config, "num_experts_per_tok"),
        width=_whole(config, "moe_intermediate_size"),
        shared=shared,
        gated=bool(shared),
    )
    plain = Dense(hidden=hidden, width=_whole(config, "intermediate_size"))
    step, only_dense = _whole(config, "decoder_sparse_step", default=1), set(config.get("mlp_only_layers") or ())
    attention = _grouped(config)
    normed = 0 if older else 2 * attention.head_dim
    attention = _grouped(config, normed=normed, bias_qkv=older or attention.bias_qkv)
    return _built(config, attention, lambda layer: plain if layer in only_dense or (layer + 1) % step else mixture)


def _olmoe(config: Config) -> Architecture:
    part = Experts(
        hidden=_whole(config, "hidden_size"),
        count=_whole(config, "num_experts"),
        per_token=_whole(config, "num_experts_per_tok"),
        width=_whole(config, "intermediate_size"),
    )
    plain = _grouped(config)
    attention = _grouped(config, normed=(plain.heads + plain.kv_heads) * plain.head_dim)
    return _built(config, attention, lambda _layer: part)


def _deepseek(config: Config) -> Architecture:
    hidden = _whole(config, "hidden_size")
    rank = config.get("q_lora_rank")
    attention = LatentAttention(
        hidden=hidden,
        heads=_whole(config, "num_attention_heads"),
        query_rank=None if rank is None else _whole(config, "q_lora_rank"),
        kv_rank=_whole(config, "kv_lora_rank"),
        nope_dim=_whole(config, "qk_nope_head_dim"),
        rope_dim=_whole(config, "qk_rope_head_dim"),
        value_dim=_whole(config, "v_head_dim"),
    )
    return _with_dense_start(config, attention)


def _glm(config: Config) -> Architecture:
    attention = _grouped(config)
    return _with_dense_start(
        config, _grouped(config, normed=2 * attention.head_dim if config.get("use_qk_norm") else 0)
    )


def _with_dense_start(config: Config, attention: GroupedAttention | LatentAttention) -> Architecture:
    """The first layers are dense, the others have routed and shared experts of one width."""
    hidden, width = _whole(config, "hidden_size"), _whole(config, "moe_intermediate_size")
    mixture = Experts(
        hidden=hidden,
        count=_whole(config, "n_routed_experts"),
        per_token=_whole(config, "num_experts_per_tok"),
        width=width,
        shared=width * (config.get("n_shared_experts") or 0),
        router_bias=str(config["model_type"]) in {"deepseek_v3", "glm4_moe"},
    )
    plain = Dense(hidden=hidden, width=_whole(config, "intermediate_size"))
    dense, every = config.get("first_k_dense_replace") or 0, _whole(config, "moe_layer_freq", default=1)
    notes: tuple[str, ...] = ()
    if config.get("num_nextn_predict_layers"):
        notes = ("layers that only predict further tokens are not counted: they are not needed to serve",)
    return _built(config, attention, lambda layer: plain if layer < dense or layer % every else mixture, notes=notes)


def _gpt_oss(config: Config) -> Architecture:
    part = Experts(
        hidden=_whole(config, "hidden_size"),
        count=_whole(config, "num_local_experts", "num_experts"),
        per_token=_whole(config, "num_experts_per_tok", "experts_per_token"),
        width=_whole(config, "intermediate_size"),
        biased=True,
    )
    attention = _grouped(config, bias_qkv=True, bias_out=True, sinks=True)
    quantised = config.get("quantization_config")
    stored = quantised.get("quant_method") if isinstance(quantised, Mapping) else None
    return _built(config, attention, lambda _layer: part, stored=stored)


def _jetmoe(config: Config) -> Architecture:
    hidden, kv_heads = _whole(config, "hidden_size"), _whole(config, "num_key_value_heads")
    experts, per_token = _whole(config, "num_local_experts"), _whole(config, "num_experts_per_tok")
    attention = GroupedAttention(
        hidden=hidden,
        heads=kv_heads,  # each expert has as many query heads as there are key-value heads
        kv_heads=kv_heads,
        head_dim=_whole(config, "kv_channels"),
        bias_out=True,
        experts=experts,
        experts_per_token=per_token,
    )
    part = Experts(
        hidden=hidden, count=experts, per_token=per_token, width=_whole(config, "intermediate_size", "ffn_hidden_size")
    )
    return _built(config, attention, lambda _layer: part, norms=3 * hidden)


def _grok(config: Config) -> Architecture:
    part = Experts(
        hidden=_whole(config, "hidden_size"),
        count=_whole(config, "num_experts", "num_local_experts"),
        per_token=_whole(config, "num_experts_per_tok"),
        width=_whole(config, "intermediate_size"),
    )
    return _built(config, _grouped(config), lambda _layer: part, norms=4 * _whole(config, "hidden_size"))


_FAMILIES: Mapping[str, Callable[[Config], Architecture]] = {
    "llama": _dense,
    "mistral": _dense,
    "qwen2": _dense,
    "qwen3": _dense,
    "mixtral": _mixtral,
    "phimoe": _mixtral,
    "qwen2_moe": _qwen_moe,
    "qwen3_moe": _qwen_moe,
    "olmoe": _olmoe,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "glm4_moe": _glm,
    "gpt_oss": _gpt_oss,
    "jetmoe": _jetmoe,
    "grok-1": _grok,
}
