"""Engines' own accounts of how loaded they are, under the names of their newer and older versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.load import load_of

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:num_requests_waiting{engine="1",model_name="m"} 2.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 100.0
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="m"} 20.0
"""
OLDER_VLLM = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="m"} 1.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{model_name="m"} 5.0
# TYPE vllm:gpu_cache_usage_perc gauge
vllm:gpu_cache_usage_perc{model_name="m"} 0.5
"""
SGLANG = """\
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="m"} 7.0
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{model_name="m"} 1.0
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="m"} 0.28
# TYPE sglang:generation_tokens_total counter
sglang:generation_tokens_total{model_name="m"} 7557572.0
"""
LLAMA_CPP = """\
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 3
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 12
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed, excluding cached tokens
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 30
# TYPE llamacpp:n_tokens_max counter
llamacpp:n_tokens_max 20
# TYPE llamacpp:predicted_tokens_seconds gauge
llamacpp:predicted_tokens_seconds 468.06
"""


@pytest.mark.parametrize(
    ("text", "running", "waiting", "kv_use", "generated"),
    [
        (VLLM, 7, 2, 0.75, 20),
        (OLDER_VLLM, 1, 5, 0.5, None),
        (SGLANG, 7, 1, 0.28, 7_557_572),
        (LLAMA_CPP, 1, 3, None, 12),
    ],
)
def test_each_engine_is_understood(
    text: str, running: int, waiting: int, kv_use: float | None, generated: int | None
) -> None:
    load = load_of(text, "m")
    assert load is not None
    assert (load.running, load.waiting, load.kv_use, load.generated_tokens) == (running, waiting, kv_use, generated)


def test_prompts_that_an_engine_still_knew_count_too() -> None:
    """llama.cpp counts them apart, and its older versions do not count them."""
    told = LLAMA_CPP + "llamacpp:prompt_tokens_cached_total 5\n"
    loads = [load_of(text) for text in (LLAMA_CPP, told)]
    assert [load and load.prompt_tokens for load in loads] == [30, 35]


def test_of_several_models_the_one_that_is_asked_for() -> None:
    other = VLLM + 'vllm:num_requests_running{model_name="other"} 50.0\n'
    load = load_of(other, "m")
    assert load is not None
    assert load.running == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>not found</html>",
        "process_cpu_seconds_total 1.0\n",
        OLDER_VLLM.replace("num_requests_waiting", "requests_that_wait"),
        "vllm:num_requests_running NaN\nvllm:num_requests_waiting -1\n",
        'vllm:num_requests_running{model_name="m 1.0\n',
    ],
)
def test_what_is_missing_renamed_or_no_metric_is_no_load(text: str) -> None:
    assert load_of(text) is None


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.decode("utf-8", "replace")))
def test_any_text_is_a_load_or_none(text: str) -> None:
    for told in (text, OLDER_VLLM + text, text + VLLM):
        load_of(told, "m")
