"""Anthropic's own client against a whole gateway: messages, streams, tools, errors, counting."""

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.gateway_server import CASCADE, OBSERVING, Running, models, serving
from tests.upstream import BadUpstream, answer, status
from tests.wire import USAGE

HELLO: Any = [{"role": "user", "content": "hello"}]
WEATHER: Any = {
    "name": "weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALLS = [
    {"id": f"call_{city}", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": city})}}
    for city in ("Ulm", "Bonn")
]


def client(gateway: Running, **options: Any) -> anthropic.AsyncAnthropic:
    defaults: dict[str, Any] = {"base_url": gateway.url, "api_key": gateway.key, "max_retries": 0}
    return anthropic.AsyncAnthropic(**(defaults | options))


async def test_a_message(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        raw = await client(gateway).messages.with_raw_response.create(
            model="auto",
            max_tokens=50,
            messages=HELLO,
            system="Be brief.",
            stop_sequences=["END"],
            extra_body={"temperature": 0.5},
        )
        message = await raw.parse()

        assert [block.model_dump()["text"] for block in message.content] == ["hello there"]
        assert (message.role, message.model, message.stop_reason) == ("assistant", "large", "end_turn")
        assert (message.usage.input_tokens, message.usage.output_tokens) == USAGE
        assert message.id.startswith("msg_")
        assert raw.headers["request-id"] == raw.headers["x-request-id"]
        assert raw.headers["x-spillway-tier"] == "1"
        assert message._request_id == raw.headers["request-id"]
        body = upstream.asked[0].body
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        assert (body["stop"], body["max_tokens"], body["temperature"]) == (["END"], 50, 0.5)
        decision = await gateway.closed(raw.headers["x-request-id"])
        assert decision.status == "answered"
        assert len(decision.attempts) == 1


async def test_a_stream_with_its_helper(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer("grüße an alle", cut=3))
        async with client(gateway).messages.stream(model="auto", max_tokens=50, messages=HELLO) as stream:
            events = [event.type async for event in stream]
            message = await stream.get_final_message()
        assert events[0] == "message_start"
        assert events[-1] == "message_stop"
        assert message.content[0].type == "text"
        assert message.content[0].text == "grüße an alle"
        assert (message.usage.input_tokens, message.usage.output_tokens) == USAGE
        assert message.stop_reason == "end_turn"


@pytest.mark.parametrize("policy", [OBSERVING, CASCADE])
async def test_parallel_tools_there_and_back(tmp_path: Path, policy: str) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer(None, tool_calls=CALLS))
        sections = (models(small=upstream.base_url, large=upstream.base_url), policy)
        async with serving(tmp_path, *sections, threshold=0.1) as gateway:
            asking = client(gateway)
            async with asking.messages.stream(
                model="auto", max_tokens=50, messages=HELLO, tools=[WEATHER], tool_choice={"type": "any"}
            ) as stream:
                streamed = await stream.get_final_message()
            whole = await asking.messages.create(model="auto", max_tokens=50, messages=HELLO, tools=[WEATHER])
            for message in (streamed, whole):
                assert message.stop_reason == "tool_use"
                used = [block for block in message.content if block.type == "tool_use"]
                assert [(block.id, block.name, block.input) for block in used] == [
                    ("call_Ulm", "weather", {"city": "Ulm"}),
                    ("call_Bonn", "weather", {"city": "Bonn"}),
                ]
            assert upstream.asked[0].body["tool_choice"] == "required"
            assert upstream.asked[0].body["tools"][0]["function"]["parameters"] == WEATHER["input_schema"]

            upstream.will(answer("sunny"))
            results: Any = [{"type": "tool_result", "tool_use_id": call["id"], "content": "sun"} for call in CALLS]
            history: Any = [
                *HELLO,
                {"role": "assistant", "content": whole.content},
                {"role": "user", "content": results},
            ]
            await asking.messages.create(model="auto", max_tokens=50, messages=history, tools=[WEATHER])
            sent = upstream.asked[-1].body["messages"]
            assert [json.loads(call["function"]["arguments"]) for call in sent[1]["tool_calls"]] == [
                {"city": "Ulm"},
                {"city": "Bonn"},
            ]
            assert sent[2:] == [
                {"role": "tool", "tool_call_id": "call_Ulm", "content": "sun"},
                {"role": "tool", "tool_call_id": "call_Bonn", "content": "sun"},
            ]


async def test_hints_are_dropped_and_told_and_pictures_passed_on(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        content: Any = [
            {"type": "text", "text": "what is this?", "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        ]
        raw = await client(gateway).messages.with_raw_response.create(
            model="auto",
            max_tokens=3000,
            messages=[{"role": "user", "content": content}],
            thinking={"type": "enabled", "budget_tokens": 2000},
        )
        assert raw.headers["x-spillway-dropped"] == "cache_control, thinking"
        body = upstream.asked[0].body
        assert "thinking" not in body
        assert body["messages"][0]["content"] == [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        ]


async def test_thoughts_are_shown_where_the_model_tells_them(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer("42", reasoning="six times seven"))
        async with client(gateway).messages.stream(model="auto", max_tokens=50, messages=HELLO) as stream:
            streamed = await stream.get_final_message()
        whole = await client(gateway).messages.create(model="auto", max_tokens=50, messages=HELLO)
        for message in (streamed, whole):
            assert [block.type for block in message.content] == ["thinking", "text"]
            assert message.content[0].type == "thinking"
            assert message.content[0].thinking == "six times seven"


async def test_errors_are_anthropics(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        ask: Any = {"model": "auto", "max_tokens": 5, "messages": HELLO}
        with pytest.raises(anthropic.AuthenticationError):
            await client(gateway, api_key="sk-spw-wrong").messages.create(**ask)
        with pytest.raises(anthropic.NotFoundError) as missing:
            await client(gateway).messages.create(**ask | {"model": "none"})
        assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]  # the client types it object
        with pytest.raises(anthropic.BadRequestError, match=r"tools\[0\].type .* runs on Anthropic's servers"):
            await client(gateway).messages.create(**ask, tools=[{"type": "web_search_20250305", "name": "web_search"}])
        upstream.will(status(529, "Overloaded"))
        with pytest.raises(anthropic.APIStatusError) as busy:
            await client(gateway).messages.create(**ask)
        assert busy.value.status_code == 529
        assert busy.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]  # the client types it object
        response = await gateway.http.get("/v1/messages")
        assert (response.status_code, response.json()["type"]) == (405, "error")


async def test_a_stream_that_fails_raises(tmp_path: Path) -> None:
    from tests.upstream import die

    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(die("mid_stream"))
        async with client(gateway).messages.stream(model="auto", max_tokens=50, messages=HELLO) as stream:
            with pytest.raises(anthropic.APIStatusError) as caught:
                async for _ in stream:
                    pass
        assert caught.value.body["error"]["code"] == "upstream_failed"  # type: ignore[index]  # the client types it object


async def test_tokens_are_counted_and_models_listed(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        short = await client(gateway).messages.count_tokens(model="auto", messages=HELLO)
        long = await client(gateway).messages.count_tokens(
            model="auto", messages=[{"role": "user", "content": "hello " * 1000}], tools=[WEATHER]
        )
        assert 1 <= short.input_tokens < 50
        assert 800 < long.input_tokens < 2000
        assert upstream.asked == []
        listed = [model.id async for model in client(gateway).models.list()]
        assert listed == ["auto", "cascade/default", "large"]
        assert (await client(gateway).models.retrieve("large")).display_name == "large"


async def test_a_live_stream_begins_with_about_the_prompts_tokens(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer("hello there"))
        asked: Any = [{"role": "user", "content": "word " * 400}]
        async with client(gateway).messages.stream(model="auto", max_tokens=9, messages=asked) as stream:
            events = [event async for event in stream]
            final = await stream.get_final_message()
        start = next(event for event in events if event.type == "message_start")
        assert 300 < start.message.usage.input_tokens < 700
        assert final.usage.input_tokens == USAGE[0]
