"""What else people call models with, against a whole gateway: langchain, litellm, instructor, curl."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from tests.gateway_server import HELLO, OBSERVING, models, serving
from tests.upstream import BadUpstream, answer
from tests.wire import USAGE

CALL = {"id": "call_1", "type": "function", "function": {"name": "Weather", "arguments": '{"city": "Ulm"}'}}


class Weather(BaseModel):
    """The weather in a city."""

    city: str


async def test_langchain(tmp_path: Path) -> None:
    from langchain_openai import ChatOpenAI

    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        model = ChatOpenAI(model="auto", base_url=f"{gateway.url}/v1", api_key=SecretStr(gateway.key), max_retries=0)
        said = await model.ainvoke("hello")
        assert said.text == "hello there"
        assert said.usage_metadata is not None
        assert said.usage_metadata["total_tokens"] == sum(USAGE)
        assert "".join([piece.text async for piece in model.astream("hello")]) == "hello there"

        upstream.will(answer(None, tool_calls=[CALL]))
        called: Any = await model.bind_tools([Weather]).ainvoke("hello")
        assert [(call["name"], call["args"]) for call in called.tool_calls] == [("Weather", {"city": "Ulm"})]
        upstream.will(answer('{"city": "Ulm"}'))
        assert await model.with_structured_output(Weather).ainvoke("hello") == Weather(city="Ulm")


async def test_langchain_by_the_responses_api(tmp_path: Path) -> None:
    from langchain_openai import ChatOpenAI

    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        model = ChatOpenAI(
            model="auto",
            base_url=f"{gateway.url}/v1",
            api_key=SecretStr(gateway.key),
            max_retries=0,
            use_responses_api=True,
        )
        assert (await model.ainvoke("hello")).text == "hello there"
        assert "".join([piece.text async for piece in model.astream("hello")]) == "hello there"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_litellm(tmp_path: Path, provider: str) -> None:
    import litellm

    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        base = f"{gateway.url}/v1" if provider == "openai" else gateway.url
        asked: dict[str, Any] = {
            "model": f"{provider}/auto",
            "messages": HELLO,
            "api_base": base,
            "api_key": gateway.key,
            "max_tokens": 20,
        }
        reply = await litellm.acompletion(**asked)
        assert reply.choices[0].message.content == "hello there"
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == USAGE
        stream = await litellm.acompletion(**asked, stream=True)
        assert "".join([piece.choices[0].delta.content or "" async for piece in stream]) == "hello there"


async def test_instructor(tmp_path: Path) -> None:
    import instructor

    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer(None, tool_calls=[CALL]))
        client = instructor.from_openai(gateway.client())
        found = await client.chat.completions.create(model="auto", messages=HELLO, response_model=Weather)
        assert found.city == "Ulm"
        assert upstream.asked[0].body["tools"][0]["function"]["name"] == "Weather"


async def curl(*arguments: str) -> str:
    """What curl prints."""
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--no-buffer", "--max-time", "30", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    return printed.decode()


async def test_curl(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        key = ("-H", f"Authorization: Bearer {gateway.key}", "-H", "Content-Type: application/json")
        body = {"model": "auto", "messages": HELLO}
        url = f"{gateway.url}/v1/chat/completions"
        whole = json.loads(await curl(url, *key, "-d", json.dumps(body)))
        assert whole["choices"][0]["message"]["content"] == "hello there"
        streamed = await curl(url, *key, "-d", json.dumps(body | {"stream": True}))
        assert streamed.endswith("data: [DONE]\n\n")
        models_listed = json.loads(await curl(f"{gateway.url}/v1/models", *key))
        assert [model["id"] for model in models_listed["data"]] == ["auto", "cascade/default", "large"]
        message = await curl(
            f"{gateway.url}/v1/messages", "-H", f"x-api-key: {gateway.key}", "-H", "anthropic-version: 2023-06-01",
            "-d", json.dumps(body | {"max_tokens": 5}),
        )  # fmt: skip
        assert json.loads(message)["content"] == [{"type": "text", "text": "hello there"}]
        described = json.loads(await curl(f"{gateway.url}/openapi.json"))
        assert {"/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings", "/v1/models"} <= set(
            described["paths"]
        )
