"""Logs played back: the very answer that was logged, to the very query, under the name it is served by."""

from pathlib import Path
from typing import Any

import pytest

from router.backends.backend import Call
from router.backends.recorded import Recorded
from router.errors import BackendTimeout, BadBackendSpec, NotRecorded
from scorer.answer import Answer, Query, Usage
from scorer.dataset import LoggedAnswer, LoggedQuery, read_log, write_log

ASKED = {"role": "user", "content": "What is 2 + 2?"}
TOOL = {"type": "function", "function": {"name": "add"}}


def logged(text: str, **fields: Any) -> LoggedAnswer:
    return LoggedAnswer(
        answer=Answer(model="logged", text=text, **fields),
        usage=Usage(prompt_tokens=20, completion_tokens=5, cached_prompt_tokens=8),
        quality=1.0,
        latency_s=900.0,
    )


def log_of(folder: Path, *queries: tuple[Query, LoggedAnswer]) -> Path:
    path = folder / "log.jsonl"
    write_log(
        path,
        [
            LoggedQuery(dataset="d", query=query, answers={"logged": answer}, labels={"logged": 1.0})
            for query, answer in queries
        ],
    )
    return path


@pytest.fixture
def backend(tmp_path: Path) -> Recorded:
    plain = Query(id="1", messages=(ASKED,))
    with_tools = Query(id="2", messages=(ASKED,), tools=(TOOL,))
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    path = log_of(
        tmp_path,
        (plain, logged("four", token_logprobs=(-0.1, -0.2))),
        (with_tools, logged("calling", tool_calls=(call,), finish_reason="tool_calls")),
    )
    return Recorded("served", [path], recorded_model="logged")


def call(**fields: Any) -> Call:
    return Call(request_id="r", body={"messages": [ASKED], **fields})


async def test_the_logged_answer_is_given_with_the_logged_counts(backend: Recorded) -> None:
    reply = await backend.complete(call(temperature=0.7))
    assert reply.answer == Answer(model="served", text="four", token_logprobs=(-0.1, -0.2))
    assert reply.usage == Usage(prompt_tokens=20, completion_tokens=5, cached_prompt_tokens=8)
    assert reply.body["usage"]["prompt_tokens_details"]["cached_tokens"] == 8
    assert reply.body["choices"][0]["finish_reason"] == "stop"
    assert reply.latency_s < 60


async def test_tools_are_part_of_the_query(backend: Recorded) -> None:
    reply = await backend.complete(call(tools=[TOOL]))
    assert reply.answer.tool_calls[0]["id"] == "c1"
    assert reply.body["choices"][0]["message"]["tool_calls"][0]["id"] == "c1"
    assert reply.body["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": "What is 2 + 3?"}]},
        {"messages": []},
        {"response_format": {"type": "json_object"}},
        {"n": 2},
    ],
)
async def test_what_was_not_logged_is_not_answered(backend: Recorded, fields: dict[str, Any]) -> None:
    with pytest.raises(NotRecorded):
        await backend.complete(call(**fields))


async def test_the_models_of_a_log_share_one_reading(tmp_path: Path, backend: Recorded) -> None:
    again = Recorded("other name", [tmp_path / "log.jsonl"], recorded_model="logged")
    assert again._queries is backend._queries


async def test_a_changed_log_is_read_again(tmp_path: Path, backend: Recorded) -> None:
    path = log_of(tmp_path, (Query(id="1", messages=(ASKED,)), logged("4, of course")))
    reply = await Recorded("served", [path], recorded_model="logged").complete(call())
    assert reply.answer.text == "4, of course"


def test_a_model_that_is_not_in_the_log_is_named(tmp_path: Path, backend: Recorded) -> None:
    with pytest.raises(BadBackendSpec, match=r"'served'.*they have logged"):
        Recorded("served", [tmp_path / "log.jsonl"])


async def test_the_logged_latency_is_kept_where_wished(tmp_path: Path, backend: Recorded) -> None:
    slow = Recorded("served", [tmp_path / "log.jsonl"], recorded_model="logged", replay_latency=True)
    with pytest.raises(BackendTimeout, match=r"900\.0 s"):
        await slow.complete(Call(request_id="r", body={"messages": [ASKED]}, timeout_s=0.01))


@pytest.mark.data
async def test_real_logs_are_played_back_as_they_are(replay_data: Path) -> None:
    path = replay_data / "routellm_mtbench.jsonl.gz"
    queries = read_log([path]).queries
    for model in queries[0].answers:
        backend = Recorded(model, [path])
        for query in queries:
            reply = await backend.complete(Call(request_id="r", body={"messages": list(query.query.messages)}))
            assert (reply.answer, reply.usage) == (query.answers[model].answer, query.answers[model].usage)
