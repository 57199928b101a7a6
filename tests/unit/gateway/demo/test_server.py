"""The simulated models speak OpenAI's protocol to its own client."""

import math
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from gateway.demo.simulated import MODELS
from gateway.demo.tasks import check, generate

QUESTION = "What is (17 + 25) * 8 - 30?"
ASKED: list[Any] = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def client(simulators: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulators, api_key="none", max_retries=0) as client:
        yield client


def test_models_are_listed_and_shown(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == list(MODELS)
    assert client.models.retrieve("simulated-small").owned_by == "spillway-demo"


def test_a_completion_is_answered_and_counted(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="simulated-large", messages=ASKED, temperature=0)
    assert check("306", answer.choices[0].message.content or "")
    assert answer.model == "simulated-large"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].logprobs is None
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens > 7
    assert answer._request_id is not None


def test_logprobs_come_iff_asked_and_spell_the_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="simulated-small", messages=ASKED, temperature=0, logprobs=True, top_logprobs=3
    )
    told = answer.choices[0].logprobs
    assert told is not None
    assert told.content is not None
    assert "".join(entry.token for entry in told.content) == answer.choices[0].message.content
    assert answer.usage is not None
    assert len(told.content) == answer.usage.completion_tokens
    for entry in told.content:
        assert entry.top_logprobs[0].token == entry.token
        assert len(entry.top_logprobs) == 3
        assert sum(math.exp(one.logprob) for one in entry.top_logprobs) < 1 + 1e-6
        assert [one.logprob for one in entry.top_logprobs] == sorted(one.logprob for one in entry.top_logprobs)[::-1]


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_says_the_same_as_a_whole_answer(client: openai.OpenAI, include_usage: bool) -> None:
    whole = client.chat.completions.create(model="simulated-medium", messages=ASKED, temperature=0)
    options: Any = {"include_usage": True} if include_usage else openai.omit
    chunks = list(
        client.chat.completions.create(
            model="simulated-medium", messages=ASKED, temperature=0, stream=True, stream_options=options
        )
    )
    said = [chunk for chunk in chunks if chunk.choices]
    assert said[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in said) == whole.choices[0].message.content
    assert said[-1].choices[0].finish_reason == "stop"
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    counted = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert counted == ([whole.usage] if include_usage else [])
    assert (not chunks[-1].choices) is include_usage


def test_a_stream_ends_with_its_terminator(simulators: str) -> None:
    body = b'{"model":"simulated-small","stream":true,"messages":[{"role":"user","content":"hello"}]}'
    with urllib.request.urlopen(f"{simulators}/chat/completions", body, timeout=10) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.read().endswith(b"data: [DONE]\n\n")


def test_streamed_logprobs_belong_to_their_tokens(client: openai.OpenAI) -> None:
    for chunk in client.chat.completions.create(
        model="simulated-small", messages=ASKED, temperature=0, stream=True, logprobs=True
    ):
        told = chunk.choices[0].logprobs
        if chunk.choices[0].delta.content:
            assert told is not None
            assert told.content is not None
            assert [entry.token for entry in told.content] == [chunk.choices[0].delta.content]


def test_temperature_nought_and_seeds_repeat_and_sampling_varies(client: openai.OpenAI) -> None:
    def texts(**options: Any) -> set[str | None]:
        answers = [
            client.chat.completions.create(model="simulated-small", messages=ASKED, n=1, **options) for _ in range(4)
        ]
        return {answer.choices[0].message.content for answer in answers}

    assert len(texts(temperature=0)) == 1
    assert len(texts(seed=11)) == 1
    assert len(texts()) > 1


def test_several_choices_differ(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="simulated-small", messages=ASKED, temperature=0, n=4)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert len({choice.message.content for choice in answer.choices}) > 1


def test_a_token_limit_is_kept(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="simulated-small", messages=ASKED, max_completion_tokens=5)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_tasks_are_solved_over_http(client: openai.OpenAI) -> None:
    tasks = generate(2, 20)
    right = 0
    for task in tasks:
        messages: list[Any] = [{"role": "user", "content": task.question}]
        answer = client.chat.completions.create(model="simulated-large", messages=messages, temperature=0)
        right += check(task.truth, answer.choices[0].message.content or "")
    assert right >= 15


def test_an_unknown_model_is_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as failure:
        client.chat.completions.create(model="gpt-9", messages=ASKED)
    assert failure.value.code == "model_not_found"
    assert failure.value.param == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="simulated-small", input="hello")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("messages", "hello"),
        ("messages", [{"content": "no role"}]),
        ("messages", [{"role": "user", "content": 7}]),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        ("temperature", 3),
        ("temperature", "hot"),
        ("n", 0),
        ("max_tokens", 0),
        ("stop", 5),
        ("stream", "yes"),
        ("logprobs", 1),
        ("top_logprobs", 3),
        ("response_format", {"type": "json_object"}),
        ("response_format", "json"),
        ("seed", "x"),
    ],
)
def test_a_wrong_field_is_named(client: openai.OpenAI, field: str, value: object) -> None:
    with pytest.raises(openai.BadRequestError) as failure:
        client.chat.completions.create(model="simulated-small", messages=ASKED, extra_body={field: value})
    assert failure.value.type == "invalid_request_error"
    assert (failure.value.param or "").startswith(field)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(simulators: str, body: bytes) -> None:
    request = urllib.request.Request(f"{simulators}/chat/completions", body, method="POST")
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(request, timeout=10)
    with failure.value as response:
        assert response.status == 400
        assert b"invalid_request_error" in response.read()
