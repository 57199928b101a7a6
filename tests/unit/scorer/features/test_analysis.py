"""Every answer can be measured, however odd, in bounded time; the measures move the way their names say."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.answer import Answer, Query
from scorer.features.analysis import ANSWER_NAMES, Analysis, analyse
from scorer.features.query import NAMES as QUERY_NAMES
from scorer.features.query import content_text, read_query
from tests.unit.scorer.synthetic import answer, query

SUM = read_query(query("How much is 17 + 25?"))


def value(analysis: Analysis, name: str) -> float:
    return float(analysis.values[ANSWER_NAMES.index(name)])


def measured(text: str, **more: object) -> Analysis:
    return analyse(SUM, answer("m", text, **more))


def test_names_are_unique() -> None:
    names = (*QUERY_NAMES, *ANSWER_NAMES)
    assert len(set(names)) == len(names)


def test_a_wrong_sum_shows() -> None:
    assert value(measured("17 + 25 = 42. The answer is 42."), "sums_wrong") == 0
    assert value(measured("17 + 25 = 43. The answer is 43."), "sums_wrong") > 0


def test_a_loop_shows() -> None:
    loop = measured("Then we add the next number again. " * 200)
    prose = measured(" ".join(f"word{i} thing{i * 7}" for i in range(300)))
    assert value(loop, "repeated_tail") > 0.9
    assert value(prose, "repeated_tail") < 0.1


def test_a_cut_answer_shows() -> None:
    assert value(measured("so we", finish_reason="length"), "cut_off") == 1
    assert value(measured("so we"), "ends_well") == 0
    assert value(measured("そうです。"), "ends_well") == 1


def test_missing_logprobs_are_missing_and_given_ones_are_measured() -> None:
    without, empty = measured("42"), measured("42", token_logprobs=())
    unsure = measured("42", token_logprobs=(-3.0, -0.01, -2.0))
    for analysis in (without, empty):
        assert value(analysis, "logprobs_given") == 0
        assert np.isnan(value(analysis, "logprob_mean"))
    assert value(unsure, "logprob_min") == -3.0
    assert value(unsure, "logprob_unsure_share") == pytest.approx(2 / 3)
    assert np.isfinite(value(measured("42", token_logprobs=(float("-inf"), 0.0)), "logprob_mean"))


def test_a_conclusion_against_its_own_reasoning_shows() -> None:
    asked = read_query(query('How much is 17 + 25? Use json with an "answer" field.'))
    at_one = analyse(asked, answer("m", '{"reasoning": "17 + 25 = 42", "answer": "42"}'))
    torn = analyse(asked, answer("m", '{"reasoning": "17 + 25 = 42", "answer": "41"}'))
    assert value(at_one, "conclusion_last_number") == 1
    assert value(torn, "conclusion_last_number") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00",
        "日本語の答えは四十二です。" * 50,
        "مرحبا بالعالم ٤٢",
        "\ud800 lone",
        "🙂" * 500,
        "=" * 3000,
        "1" * 5000,
        "1 + " * 3000,
        "(" * 5000,
        '"answer": "' * 2000,
        "\\boxed{" * 3000,
        "a" * 24_000,
        "{" * 24_000,
        "answer is " * 3000,
        "1,1,1,1," * 3000 + "=",
        "9 " * 10_000 + "= 3",
    ],
)
def test_odd_answers_are_measured_in_bounded_time(text: str) -> None:
    asked = read_query(query('Which?\nA. x\nB. y\n"answer" \\boxed{} [Yes] assert a == b'))
    long = (text * (100_000 // max(len(text), 1) + 1))[:100_000] if text.strip() else text
    for reading in (SUM, asked):
        start = time.process_time()
        analysis = analyse(reading, answer("m", long))
        assert time.process_time() - start < 1.0
        assert analysis.values.shape == (len(ANSWER_NAMES),)
        assert not np.isinf(analysis.values).any()


@given(st.text(max_size=200), st.text(max_size=80))
def test_any_text_can_be_measured(text: str, asked: str) -> None:
    analysis = analyse(read_query(query(asked)), answer("m", text))
    assert not np.isinf(analysis.values).any()
    assert np.array_equal(analysis.values, analyse(read_query(query(asked)), answer("m", text)).values, equal_nan=True)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("hi", "hi"),
        (None, ""),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}, "b", 7], "a\nb"),
        ({"text": "a"}, ""),
        (5, ""),
    ],
)
def test_content_may_be_text_parts_or_nothing(content: object, text: str) -> None:
    assert content_text(content) == text
    asked = Query(id="q", messages=({"role": "user", "content": content}, {"role": "assistant"}))
    assert len(read_query(asked).values) == len(QUERY_NAMES)


def test_a_tool_call_is_an_answer() -> None:
    calls = ({"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 17}'}},)
    analysis = analyse(SUM, Answer(model="m", text="", tool_calls=calls, finish_reason="tool_calls"))
    assert value(analysis, "has_calls") == 1
    assert analysis.conclusion is not None
