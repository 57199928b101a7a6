"""Memory, speed and cost follow from the formulas, and the ceilings are ceilings."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.capacity.cost import Traffic, break_even
from router.capacity.hardware import GIB, GPUS, gpu
from router.capacity.memory import QUANTISATIONS, kv_tokens, place, quantisation, weights
from router.capacity.presets import PRESETS, preset
from router.capacity.sizing import Wanted, plan
from router.capacity.speed import touched_share
from router.errors import CapacityError

_CHEAP = Wanted(
    quant=QUANTISATIONS["bf16"],
    gpu=gpu("h100"),
    context=4096,
    concurrency=8,
    traffic=Traffic(prompt=1000, answer=300),
    usd_per_gpu_hour=2.0,
)


def wanted(**changes: Any) -> Wanted:
    return dataclasses.replace(_CHEAP, **changes)


def test_the_published_checkpoints_of_gpt_oss_weigh_what_is_said() -> None:
    for name, gib in (("gpt-oss-120b", 60.8), ("gpt-oss-20b", 12.8)):
        model = preset(name)
        assert weights(model, quantisation(None, model)).held / GIB == pytest.approx(gib, abs=0.05)


@pytest.mark.parametrize("name", PRESETS)
def test_sixteen_bits_are_two_bytes(name: str) -> None:
    model = preset(name)
    assert weights(model, QUANTISATIONS["bf16"]).held == pytest.approx(2 * model.parameters, rel=1e-9)


@given(st.sampled_from(sorted(PRESETS)), st.sampled_from(sorted(QUANTISATIONS)))
def test_fewer_bits_never_weigh_more(name: str, quant: str) -> None:
    model = preset(name)
    assert weights(model, QUANTISATIONS[quant]).held <= weights(model, QUANTISATIONS["bf16"]).held


@given(st.integers(2, 512), st.data(), st.integers(1, 4096))
def test_a_batch_touches_between_its_own_and_all_experts(experts: int, data: st.DataObject, batch: int) -> None:
    per_token = data.draw(st.integers(1, experts))
    share = touched_share(experts, per_token, batch)
    assert per_token / experts - 1e-12 <= share <= 1.0
    assert touched_share(experts, per_token, batch + 1) >= share
    assert math.isclose(touched_share(experts, per_token, 1), per_token / experts)


@given(st.sampled_from(sorted(PRESETS)), st.integers(1, 256), st.floats(0.05, 1.0), st.floats(0.05, 1.0))
def test_no_estimate_exceeds_its_ceiling(name: str, concurrency: int, reading: float, computing: float) -> None:
    found = plan(preset(name), wanted(concurrency=concurrency, reading=reading, computing=computing, gpu=gpu("b200")))
    assert all(step.estimate <= step.ceiling * (1 + 1e-9) for step in found.steps)
    assert [step.batch for step in found.steps][-1] == concurrency


def test_a_dense_model_reads_all_of_itself_at_any_batch() -> None:
    found = plan(preset("llama-3.1-8b"), wanted())
    assert {step.touched for step in found.steps} == {1.0}
    first = found.steps[0]
    assert first.estimate == pytest.approx(first.ceiling * _CHEAP.reading)


def test_the_ceiling_of_one_sequence_is_bandwidth_over_bytes_read() -> None:
    model = preset("llama-3.1-8b")
    read = 2 * (model.parameters - model.embedding) + 2 * model.cached_numbers(1150)
    assert plan(model, wanted()).steps[0].ceiling == pytest.approx(3350e9 / read, rel=1e-6)


def test_cache_blocks_are_whole() -> None:
    model = preset("llama-3.1-8b")
    block = 16 * model.cached_numbers(1) * 2
    assert kv_tokens(model, 10 * block + block - 1, 16) == 160
    assert kv_tokens(model, block - 1, 16) == 0


def test_experts_in_host_memory_free_the_accelerator_and_slow_it() -> None:
    model = preset("mixtral-8x7b")
    whole, half = plan(model, wanted(gpus=2)), plan(model, wanted(gpus=2, offload=0.5))
    assert half.placement.offloaded == math.ceil(half.weights.experts / 2)
    assert half.placement.free - whole.placement.free == half.placement.offloaded
    assert half.at_concurrency.estimate < whole.at_concurrency.estimate / 3
    assert plan(model, wanted(offload=0.6)).placement.gpus < plan(model, wanted()).placement.gpus


def test_too_few_accelerators_are_refused_with_how_many_would_do() -> None:
    with pytest.raises(CapacityError, match=r"--gpus: 1 x h100 hold 72 GB .* 2 would do"):
        plan(preset("mixtral-8x7b"), wanted(gpus=1))
    held = weights(preset("deepseek-v3"), QUANTISATIONS["bf16"])
    with pytest.raises(CapacityError, match="more than 64; spread the load over replicas"):
        place(held, 10**13, gpu("l4"), usable=0.9)


@given(st.sampled_from(sorted(GPUS)), st.integers(1, 64))
def test_the_group_holds_what_it_must_and_half_of_it_would_not(name: str, concurrency: int) -> None:
    model = preset("gpt-oss-20b")
    found = plan(model, wanted(gpu=gpu(name), quant=QUANTISATIONS["mxfp4"], concurrency=concurrency))
    needed = found.weights.held + concurrency * found.kv_per_sequence
    room = gpu(name).memory_gb * 1e9 * 0.9
    assert needed <= found.placement.gpus * room
    assert found.placement.gpus == 1 or needed > found.placement.gpus / 2 * room


def test_all_the_time_is_paid_for_by_the_tokens_made() -> None:
    found = plan(preset("qwen3-30b-a3b"), wanted())
    share, usd = found.usd_per_million[0]
    made_in_an_hour = found.at_concurrency.estimate * 3600 * share
    assert usd * made_in_an_hour / 1e6 == pytest.approx(found.usd_per_hour)


def test_hosting_breaks_even_where_its_request_costs_what_the_api_takes() -> None:
    found = plan(preset("qwen3-30b-a3b"), wanted(api=(0.2, 0.8)))
    assert found.break_even is not None
    assert found.api_usd_per_request is not None
    assert found.own_usd_per_request_busy / found.break_even == pytest.approx(found.api_usd_per_request)
    assert plan(preset("qwen3-30b-a3b"), wanted(api=(0.0001, 0.0001))).break_even is None
    with pytest.raises(CapacityError, match="--api-price"):
        break_even(1.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"context": 0}, "--context: must be 1 or more"),
        ({"concurrency": 0}, "--concurrency: must be 1 or more"),
        ({"usable": 0.0}, "--usable: must be above 0"),
        ({"reading": 1.1}, "--reading: must be above 0"),
        ({"offload": -0.1}, "--offload: must be from 0 to 1"),
        ({"kv": "int2"}, "--kv: 'int2' is not known"),
        ({"context": 1299}, "--context: is less than"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(CapacityError, match=said):
        wanted(**changes)


def test_a_model_is_not_asked_for_more_than_it_was_made_for() -> None:
    with pytest.raises(CapacityError, match="--context: the model was made for at most 4096 tokens"):
        plan(preset("olmoe-1b-7b"), wanted(context=8192))
    with pytest.raises(CapacityError, match="--offload: is of experts"):
        plan(preset("llama-3.1-8b"), wanted(offload=0.5))
