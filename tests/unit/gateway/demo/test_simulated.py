"""The simulated models: repeatable, of different skill, fallible in ways that show but do not give them away."""

import math
import statistics
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.families.expressions import ExpressionFamily
from gateway.demo.simulated import MODELS, Said, cut, say
from gateway.demo.tasks import check, generate
from gateway.demo.tokens import Saying, pieces, prompt_tokens, uttered

TASKS = generate(3, 600)
SMALL, MEDIUM, LARGE = MODELS.values()


def ask(name: str, question: str, *, seed: int = 0, nonce: str = "") -> Said:
    return say(MODELS[name], [{"role": "user", "content": question}], seed=seed, nonce=nonce)


@pytest.fixture(scope="module")
def answers() -> dict[str, list[Said]]:
    return {name: [ask(name, task.question) for task in TASKS] for name in MODELS}


def test_larger_models_are_right_more_often_and_none_is_perfect(answers: dict[str, list[Said]]) -> None:
    right = {
        name: statistics.mean(check(task.truth, said.text) for task, said in zip(TASKS, answers[name], strict=True))
        for name in MODELS
    }
    assert 0.55 < right[SMALL.name] < 0.78
    assert right[SMALL.name] + 0.07 < right[MEDIUM.name] < 0.92
    assert right[MEDIUM.name] + 0.04 < right[LARGE.name] < 0.99


def test_harder_tasks_go_wrong_more_often(answers: dict[str, list[Said]]) -> None:
    judged = [
        (task.difficulty, check(task.truth, said.text)) for task, said in zip(TASKS, answers[SMALL.name], strict=True)
    ]
    middle = statistics.median(difficulty for difficulty, _ in judged)
    easy = statistics.mean(right for difficulty, right in judged if difficulty <= middle)
    hard = statistics.mean(right for difficulty, right in judged if difficulty > middle)
    assert easy > hard + 0.1


@pytest.mark.parametrize("signal", ["mean logprob", "lowest logprob"])
def test_logprobs_inform_without_giving_away(answers: dict[str, list[Said]], signal: str) -> None:
    wrong: list[float] = []
    right: list[float] = []
    for task, said in zip(TASKS, answers[SMALL.name], strict=True):
        logprobs = [token.logprob for token in said.tokens]
        value = statistics.mean(logprobs) if signal == "mean logprob" else min(logprobs)
        (right if check(task.truth, said.text) else wrong).append(value)
    auroc = statistics.mean((r > w) + 0.5 * (r == w) for r in right for w in wrong)
    assert 0.6 < auroc < 0.9


def test_hedging_is_no_verdict(answers: dict[str, list[Said]]) -> None:
    hedged = [
        check(task.truth, said.text)
        for task, said in zip(TASKS, answers[SMALL.name], strict=True)
        if "not entirely sure" in said.text or "may have made a mistake" in said.text
    ]
    assert 0.1 < statistics.mean(hedged) < 0.7


def test_an_answer_depends_on_seed_prompt_and_nonce_only() -> None:
    question = TASKS[0].question
    assert ask(SMALL.name, question) == ask(SMALL.name, question)
    assert ask(SMALL.name, question, nonce="1") != ask(SMALL.name, question)
    assert ask(SMALL.name, question, seed=1) != ask(SMALL.name, question)
    assert ask(MEDIUM.name, question).tokens != ask(SMALL.name, question).tokens


def test_what_is_no_task_gets_a_word_about_what_the_model_is() -> None:
    said = ask(LARGE.name, "Write me a poem about the sea.")
    assert "simulated model" in said.text
    assert LARGE.name in said.text
    assert said.finish_reason == "stop"


def test_the_last_user_message_is_the_question() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": [{"type": "text", "text": "What is 2 + 2?"}]},
    ]
    assert "2 + 2 = 4" in say(LARGE, messages, seed=1, nonce="").text


@given(st.integers(0, 10**6), st.integers(1, 30))
def test_a_token_limit_cuts_and_says_so(seed: int, limit: int) -> None:
    said = ask(SMALL.name, ExpressionFamily().pose(Random(seed), 4))
    short = cut(said, max_tokens=limit, stop=())
    assert said.text.startswith(short.text)
    assert len(short.tokens) == min(limit, len(said.tokens))
    assert short.finish_reason == ("length" if len(said.tokens) > limit else said.finish_reason)


@given(st.integers(0, 10**6), st.sampled_from(["=", "Answer", "\n", "zzz", "er:"]))
def test_a_stop_sequence_ends_the_answer_before_it(seed: int, stop: str) -> None:
    said = ask(MEDIUM.name, ExpressionFamily().pose(Random(seed), 3))
    short = cut(said, max_tokens=None, stop=(stop,))
    assert short.text == said.text.partition(stop)[0]


@given(st.text())
def test_pieces_joined_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


def test_doubt_lowers_logprobs_on_the_average() -> None:
    rng = Random(1)
    sure = [token.logprob for token in uttered([Saying("a b c d " * 200, 0.0)], rng)]
    unsure = [token.logprob for token in uttered([Saying("a b c d " * 200, 1.0)], rng)]
    assert statistics.mean(unsure) < 5 * statistics.mean(sure) < 0
    assert all(logprob <= 0 and math.isfinite(logprob) for logprob in (*sure, *unsure))


def test_prompts_are_counted_with_what_the_chat_format_adds() -> None:
    one = prompt_tokens([{"role": "user", "content": "What is 2 + 2?"}])
    two = prompt_tokens([{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": None}])
    assert one == 3 + 4 + len(pieces("What is 2 + 2?"))
    assert two == one + 4
