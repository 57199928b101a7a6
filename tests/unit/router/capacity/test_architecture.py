"""Parameters are counted as publishers count them; caches as engines keep them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.capacity.architecture import Architecture, Dense, GroupedAttention
from router.capacity.presets import PRESETS, preset

# Active parameters that differ from the published figure by more than 2 %, and why.
_EXPLAINED = {
    "grok-1": "published as about a quarter of the weights; two of eight experts and attention come to 83.8 B",
    "deepseek-v2-lite": "published to one digit; 2.45 B without the embedding, 2.66 B with it",
    "glm-4.5-air": "published in whole billions; its report leaves out embeddings",
}


@pytest.mark.parametrize("name", PRESETS)
def test_totals_are_those_that_are_published(name: str) -> None:
    assert preset(name).parameters / 1e9 == pytest.approx(PRESETS[name].total_b, rel=0.02)


@pytest.mark.parametrize("name", sorted(PRESETS.keys() - _EXPLAINED.keys()))
def test_active_parameters_are_those_that_are_published(name: str) -> None:
    """With or without the embedding that is only looked up: publishers differ in that."""
    model = preset(name)
    near = min((model.active, model.active_without_embedding), key=lambda n: abs(n / 1e9 - PRESETS[name].active_b))
    assert near / 1e9 == pytest.approx(PRESETS[name].active_b, rel=0.02)


@pytest.mark.parametrize("name", _EXPLAINED)
def test_what_differs_differs_by_what_is_said(name: str) -> None:
    assert preset(name).active_without_embedding / 1e9 == pytest.approx(PRESETS[name].active_b, rel=0.07)


def test_a_cache_keeps_two_vectors_a_head_or_one_latent() -> None:
    assert preset("mixtral-8x7b").cached_numbers(1) == 2 * 32 * 8 * 128
    assert preset("qwen3-30b-a3b").cached_numbers(10) == 10 * 2 * 48 * 4 * 128
    assert preset("deepseek-v3").cached_numbers(1) == 61 * (512 + 64)


def test_a_window_caps_what_its_layers_keep() -> None:
    model = preset("gpt-oss-20b")
    each = 2 * 8 * 64
    assert model.cached_numbers(100) == 24 * 100 * each
    assert model.cached_numbers(1000) == (12 * 1000 + 12 * 128) * each


@given(st.sampled_from(sorted(PRESETS)), st.integers(1, 100_000), st.integers(1, 100_000))
def test_a_longer_sequence_never_keeps_less(name: str, one: int, other: int) -> None:
    model = preset(name)
    assert model.cached_numbers(min(one, other)) <= model.cached_numbers(max(one, other))


@given(st.sampled_from(sorted(PRESETS)))
def test_no_token_uses_more_than_there_is(name: str) -> None:
    model = preset(name)
    assert model.expert_parameters_used <= model.expert_parameters <= model.parameters
    assert model.parameters - model.active == model.expert_parameters - model.expert_parameters_used


def test_a_tied_output_matrix_counts_once() -> None:
    attention = GroupedAttention(hidden=8, heads=2, kv_heads=1, head_dim=4)
    part = Dense(hidden=8, width=16)

    def model(tied: bool) -> Architecture:
        return Architecture(
            family="llama", hidden=8, vocabulary=100, tied=tied, attention=attention, feed_forward=(part,),
            windows=(None,), norms=16,
        )  # fmt: skip

    assert model(False).parameters - model(True).parameters == 800
    assert model(False).active_without_embedding == model(True).active_without_embedding
