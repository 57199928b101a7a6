"""OpenAI's own client against a whole gateway: chat with tools and schemas, responses, legacy completions, streams."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.gateway_server import CASCADE, HELLO, OBSERVING, models, serving
from tests.upstream import BadUpstream, answer, die
from tests.wire import USAGE

PARAMETERS: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS, "strict": True}}]
RESPONSE_TOOLS: Any = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}]
CALLS = [
    {"id": f"call_{city}", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": city})}}
    for city in ("Ulm", "Bonn")
]


class Weather(BaseModel):
    """What a model is asked to fill in."""

    city: str
    celsius: float


async def test_chat_parses_into_a_model(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer('{"city": "Ulm", "celsius": 21.5}'))
        parsed = await gateway.client().chat.completions.parse(model="auto", messages=HELLO, response_format=Weather)
        assert parsed.choices[0].message.parsed == Weather(city="Ulm", celsius=21.5)
        beta = await gateway.client().beta.chat.completions.parse(model="auto", messages=HELLO, response_format=Weather)
        assert beta.choices[0].message.parsed == Weather(city="Ulm", celsius=21.5)
        sent = upstream.asked[0].body["response_format"]
        assert (sent["type"], sent["json_schema"]["name"]) == ("json_schema", "Weather")


@pytest.mark.parametrize("policy", [OBSERVING, CASCADE])
async def test_chat_streams_parallel_tool_calls_with_the_helper(tmp_path: Path, policy: str) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer(None, tool_calls=CALLS))
        sections = (models(small=upstream.base_url, large=upstream.base_url), policy)
        async with serving(tmp_path, *sections, threshold=0.1) as gateway:
            async with gateway.client().chat.completions.stream(
                model="auto", messages=HELLO, tools=CHAT_TOOLS, parallel_tool_calls=True, tool_choice="required"
            ) as stream:
                kinds = {event.type async for event in stream}
                final = await stream.get_final_completion()
            assert "tool_calls.function.arguments.done" in kinds
            calls = final.choices[0].message.tool_calls
            assert calls is not None
            assert [call.function.parsed_arguments for call in calls] == [{"city": "Ulm"}, {"city": "Bonn"}]
            assert final.choices[0].finish_reason == "tool_calls"
            body = upstream.asked[0].body
            assert (body["parallel_tool_calls"], body["tool_choice"]) == (True, "required")


async def test_what_chat_asks_reaches_the_model_untouched(tmp_path: Path) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "?"}, audio, image]}]
    asked: dict[str, Any] = {
        "n": 2,
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 2,
        "stop": ["a", "b"],
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
    }
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        await gateway.client().chat.completions.create(model="auto", messages=messages, **asked)
        body = upstream.asked[0].body
        assert {name: body[name] for name in asked} == asked
        assert body["messages"] == messages


async def test_a_response_and_its_stream_say_the_same(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer("grüße an alle", reasoning="wave", cut=5))
        client = gateway.client()
        whole = await client.responses.create(
            model="auto", input="hello", instructions="Be kind.", max_output_tokens=50, metadata={"a": "b"}
        )
        async with client.responses.stream(model="auto", input="hello", instructions="Be kind.") as stream:
            events = [event async for event in stream]
            streamed = await stream.get_final_response()

        for response in (whole, streamed):
            assert response.output_text == "grüße an alle"
            assert [item.type for item in response.output] == ["reasoning", "message"]
            assert (response.status, response.model) == ("completed", "large")
            assert response.usage is not None
            assert (response.usage.input_tokens, response.usage.output_tokens) == USAGE
            assert response.instructions == "Be kind."
            assert response.model_dump()["store"] is False
        assert whole.metadata == {"a": "b"}
        assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].type == "response.completed"
        body = upstream.asked[0].body
        assert body["messages"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]
        assert body["max_tokens"] == 50


@pytest.mark.parametrize("policy", [OBSERVING, CASCADE])
async def test_responses_call_tools_there_and_back(tmp_path: Path, policy: str) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer(None, tool_calls=CALLS))
        sections = (models(small=upstream.base_url, large=upstream.base_url), policy)
        async with serving(tmp_path, *sections, threshold=0.1) as gateway:
            client = gateway.client()
            async with client.responses.stream(model="auto", input="hello", tools=RESPONSE_TOOLS) as stream:
                streamed = await stream.get_final_response()
            whole = await client.responses.create(model="auto", input="hello", tools=RESPONSE_TOOLS)
            for response in (streamed, whole):
                calls = [item for item in response.output if item.type == "function_call"]
                assert [(call.call_id, json.loads(call.arguments)) for call in calls] == [
                    ("call_Ulm", {"city": "Ulm"}),
                    ("call_Bonn", {"city": "Bonn"}),
                ]
            results = [{"type": "function_call_output", "call_id": call["id"], "output": "sun"} for call in CALLS]
            history: Any = [{"role": "user", "content": "hello"}, *(item.to_dict() for item in whole.output), *results]
            await client.responses.create(model="auto", input=history, tools=RESPONSE_TOOLS)
            sent = upstream.asked[-1].body
            assert sent["tools"] == CHAT_TOOLS
            assert sent["messages"][1]["tool_calls"] == CALLS
            assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool", "tool"]


@pytest.mark.parametrize("streams", [False, True])
async def test_reasoning_is_handed_back_with_the_calls_that_it_led_to(tmp_path: Path, streams: bool) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer(None, tool_calls=CALLS, reasoning="two towns, two calls"))
        told = models(large=upstream.base_url) + "    capabilities: [tools, reasoning_content]\n"
        async with serving(tmp_path, told, OBSERVING) as gateway:
            client = gateway.client()
            if streams:
                async with client.responses.stream(model="auto", input="hello", tools=RESPONSE_TOOLS) as stream:
                    response: Any = await stream.get_final_response()
            else:
                response = await client.responses.create(model="auto", input="hello", tools=RESPONSE_TOOLS)
            results = [{"type": "function_call_output", "call_id": call["id"], "output": "sun"} for call in CALLS]
            said = [item.to_dict() for item in response.output]
            history: Any = [{"role": "user", "content": "hello"}, *said, *results]
            raw = await client.responses.with_raw_response.create(model="auto", input=history, tools=RESPONSE_TOOLS)
            assert "x-spillway-dropped" not in raw.headers
            message = upstream.asked[-1].body["messages"][1]
            assert (message["reasoning_content"], message["tool_calls"]) == ("two towns, two calls", CALLS)
            assert "thinking_blocks" not in message


async def test_responses_parse_and_refuse_what_leans_on_storage(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer('{"city": "Ulm", "celsius": 21.5}'))
        client = gateway.client()
        parsed = await client.responses.parse(model="auto", input="hello", text_format=Weather)
        assert parsed.output_parsed == Weather(city="Ulm", celsius=21.5)
        sent = upstream.asked[0].body["response_format"]
        assert (sent["type"], sent["json_schema"]["name"], sent["json_schema"]["strict"]) == (
            "json_schema",
            "Weather",
            True,
        )
        with pytest.raises(openai.BadRequestError, match="no response is stored") as refused:
            await client.responses.create(model="auto", input="hello", previous_response_id="resp_1")
        assert refused.value.param == "previous_response_id"
        with pytest.raises(openai.BadRequestError, match="runs on OpenAI's servers"):
            await client.responses.create(model="auto", input="hello", tools=[{"type": "web_search"}])


async def test_a_response_stream_that_dies_raises(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(die("mid_stream"))
        seen: list[str] = []
        stream = await gateway.client().responses.create(model="auto", input="hello", stream=True)

        async def read() -> None:
            async for event in stream:
                seen.append(event.type)  # noqa: PERF401  what came before it raised is wanted

        with pytest.raises(openai.APIError) as caught:
            await read()
        assert caught.value.code == "upstream_failed"
        assert seen[-1] == "response.failed"


async def test_legacy_completions(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer("there", logprobs=[-0.5]))
        client = gateway.client()
        whole = await client.completions.create(model="auto", prompt="hello ", echo=True, logprobs=1, max_tokens=5)
        assert whole.choices[0].text == "hello there"
        assert whole.choices[0].logprobs is not None
        assert whole.choices[0].logprobs.token_logprobs == [-0.5]
        assert whole.usage is not None
        assert whole.usage.total_tokens == sum(USAGE)
        stream = await client.completions.create(model="auto", prompt="hello ", stream=True)
        pieces = [chunk.choices[0] async for chunk in stream]
        assert "".join(piece.text for piece in pieces) == "there"
        assert pieces[-1].finish_reason == "stop"
        assert upstream.asked[0].body["messages"] == [{"role": "user", "content": "hello "}]
        with pytest.raises(openai.BadRequestError, match="several prompts need a request each"):
            await client.completions.create(model="auto", prompt=["a", "b"])
