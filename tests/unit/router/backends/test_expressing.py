"""What an upstream is told of the output limit, and asked for on a scorer's behalf."""

from typing import Any

import pytest

from router.backends.backend import Call
from router.backends.expressing import Expressing
from router.backends.http import Limits
from router.backends.openai_compatible import OpenAICompatible
from router.errors import BackendRefused
from router.hints import HINTS
from tests.unit.router.cascades import Model
from tests.upstream import BadUpstream, answer, status


@pytest.mark.parametrize(
    ("body", "renames", "sent"),
    [
        ({}, False, {"max_tokens": 50}),
        ({"max_tokens": None}, False, {"max_tokens": 50}),
        ({"max_tokens": 7}, False, {"max_tokens": 7}),
        ({"max_completion_tokens": 7}, False, {"max_completion_tokens": 7}),
        ({}, True, {"max_completion_tokens": 50}),
    ],
)
async def test_a_request_without_an_output_limit_gets_the_model_s(
    body: dict[str, Any], renames: bool, sent: dict[str, Any]
) -> None:
    model = Model("m")
    limited = Expressing(model, HINTS, renames_limit=renames, output_limit=50)
    await limited.complete(Call(request_id="r", body=body))
    assert [chunk async for chunk in limited.stream(Call(request_id="r", body=body))]
    assert [dict(call.body) for call in model.calls] == [sent, sent]


async def test_a_model_without_a_documented_limit_is_asked_as_it_was() -> None:
    model = Model("m")
    body: dict[str, Any] = {"messages": []}
    await Expressing(model, HINTS).complete(Call(request_id="r", body=body))
    assert model.calls[0].body is body


@pytest.mark.parametrize("wanted", [False, True])
async def test_log_probabilities_that_only_the_scorer_wants_are_asked_for_and_not_shown(wanted: bool) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("yes", logprobs=[-0.5, -0.25]))
        server = OpenAICompatible("m", base_url=upstream.base_url, limits=Limits(total_s=5, connect_s=5))
        backend = Expressing(server, HINTS, asks_logprobs=True)
        call = Call(request_id="r", body={"messages": []} | ({"logprobs": True} if wanted else {}))
        whole = await backend.complete(call)
        chunks = [chunk async for chunk in backend.stream(call)]
        await backend.aclose()
    replies = [whole, chunks[-1].reply]
    assert [asked.body["logprobs"] for asked in upstream.asked] == [True, True]
    assert [reply and reply.answer.token_logprobs for reply in replies] == [(-0.5, -0.25)] * 2
    bodies = [*(reply.body for reply in replies if reply), *(chunk.body for chunk in chunks if chunk.body)]
    shown = [choice["logprobs"] for body in bodies for choice in body["choices"] if choice.get("logprobs")]
    assert bool(shown) == wanted


async def test_who_refuses_log_probabilities_that_only_the_scorer_wants_is_asked_without() -> None:
    """As llama.cpp does for tools in a stream."""
    refusal = status(400, "logprobs is not supported with tools + stream")
    async with BadUpstream() as upstream:
        upstream.will(refusal, answer("yes"), refusal, answer("yes"), status(400, "no such tool"), refusal)
        server = OpenAICompatible("m", base_url=upstream.base_url, limits=Limits(total_s=5, connect_s=5))
        backend = Expressing(server, HINTS, asks_logprobs=True)
        call = Call(request_id="r", body={"messages": []})
        whole = await backend.complete(call)
        chunks = [chunk async for chunk in backend.stream(call)]
        with pytest.raises(BackendRefused, match="no such tool"):
            await backend.complete(call)
        with pytest.raises(BackendRefused, match="logprobs"):
            await backend.complete(Call(request_id="r", body={"messages": [], "logprobs": True}))
        await backend.aclose()
    assert [reply and reply.answer.text for reply in (whole, chunks[-1].reply)] == ["yes", "yes"]
    assert ["logprobs" in asked.body for asked in upstream.asked] == [True, False, True, False, True, True]


@pytest.mark.parametrize(("told", "sent"), [({"top_logprobs": 0}, {}), ({"top_logprobs": 2}, {"top_logprobs": 2})])
async def test_no_alternatives_are_asked_for_by_not_naming_them(told: dict[str, int], sent: dict[str, int]) -> None:
    """Since llama.cpp tells no log-probabilities at all to who asks for none of the alternatives."""
    model = Model("m")
    await Expressing(model, HINTS).complete(Call(request_id="r", body={"logprobs": True, **told}))
    assert model.calls[0].body == {"logprobs": True, **sent}


async def test_an_engine_that_keeps_prompts_apart_is_told_by_what() -> None:
    model = Model("m")
    backend = Expressing(model, HINTS)
    body: dict[str, Any] = {"messages": []}
    await backend.complete(Call(request_id="r", body=body, cache_salt="one"))
    assert "cache_salt" not in model.calls[-1].body
    backend.salted = True
    calls = [
        Call(request_id="r", body=body, cache_salt="one"),
        Call(request_id="s", body=body, cache_salt="one"),
        Call(request_id="r", body=body, cache_salt="two"),
        Call(request_id="r", body={**body, "cache_salt": "theirs"}, cache_salt="one"),
        Call(request_id="r", body=body),  # nobody says with whom it may share: with nobody
        Call(request_id="s", body=body),
    ]
    for call in calls:
        await backend.complete(call)
    told = [call.body["cache_salt"] for call in model.calls[-6:]]
    assert told[0] == told[1]
    assert len(set(told)) == 5
    assert all(len(salt) == 64 and salt.isalnum() for salt in told)
