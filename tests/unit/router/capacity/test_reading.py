"""A config.json is read as it is, or refused with the field that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from router.capacity.presets import PRESETS, preset
from router.capacity.reading import architecture_of, read
from router.errors import CapacityError


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_written_to_a_file_is_the_same_model(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(PRESETS[name].config))
    assert read(path) == preset(name)


def test_models_that_also_see_wrap_their_language_model() -> None:
    inner = dict(PRESETS["qwen3-30b-a3b"].config)
    assert architecture_of({"model_type": "qwen3_vl_moe", "text_config": inner}) == preset("qwen3-30b-a3b")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "rwkv"}, "model_type: 'rwkv' is not known"),
        ({"hidden_size": None}, "hidden_size: is missing"),
        ({"hidden_size": "big"}, "hidden_size: must be a positive whole number, not 'big'"),
        ({"num_local_experts": 0}, "num_local_experts: must be a positive"),
        ({"num_key_value_heads": 7}, "num_key_value_heads: 7 does not divide"),
        ({"num_hidden_layers": True}, "num_hidden_layers: must be a positive"),
        ({"sliding_window": 4, "layer_types": ["full_attention"]}, "layer_types: must list 32 layers"),
        ({"sliding_window": 4, "layer_types": ["linear_attention"] * 32}, "linear_attention: only full_attention"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(CapacityError, match=said):
        architecture_of({**PRESETS["mixtral-8x7b"].config, **change})


@pytest.mark.parametrize(("text", "said"), [("{", "is not JSON"), ("[]", "must be a JSON object")])
def test_a_file_that_is_no_config_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(CapacityError, match=said):
        read(path)


def test_a_window_that_is_switched_off_is_none() -> None:
    config = {**PRESETS["qwen2.5-72b"].config, "sliding_window": 100, "use_sliding_window": False}
    assert architecture_of(config).windows == (None,) * 80


def test_dense_layers_among_experts_are_seen() -> None:
    model = architecture_of({**PRESETS["qwen3-30b-a3b"].config, "mlp_only_layers": [0, 5]})
    assert len(model.mixtures) == 46
    assert len(preset("deepseek-v3").mixtures) == 58
