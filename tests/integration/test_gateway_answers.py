"""What clients see of answers: the real openai client and bare HTTP against a whole gateway."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.keys import KeyStore
from scorer.answer import Query
from scorer.familiarity import Doubt
from tests.gateway_server import CASCADE, HELLO, OBSERVING, NumberScorer, models, serving
from tests.upstream import BadUpstream, answer, empty_choices, nobody_there, status
from tests.wire import USAGE

COST = Decimal(USAGE[0] * 1 + USAGE[1] * 10) / 1_000_000  # PRICE, in USD per million tokens


def events(text: str) -> list[dict[str, Any]]:
    """The objects of an event stream that ends as it should."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert blocks[-1] == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-1]]


async def test_observing_the_safe_model_answers_and_the_answer_says_so(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        raw = await gateway.client().chat.completions.with_raw_response.create(model="auto", messages=HELLO)
        completion = raw.parse()

        assert completion.choices[0].message.content == "hello there"
        assert completion.model == "large"
        assert completion.usage is not None
        assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == USAGE
        assert completion.usage.model_dump()["cost"] == float(COST)
        headers = raw.headers
        assert headers["x-request-id"] == headers["x-spillway-decision-id"]
        assert completion.id == headers["x-request-id"].replace("dec_", "chatcmpl-")
        assert headers["x-spillway-policy"] == "default"
        assert headers["x-spillway-model"] == "large"
        assert headers["x-spillway-tier"] == "1"
        assert headers["x-spillway-stop-reason"] == "last_stage"
        assert headers["x-spillway-cache"] == "DISABLED"
        assert Decimal(headers["x-spillway-cost-usd"]) == COST
        assert "x-spillway-score" not in headers


async def test_the_upstream_gets_the_body_as_it_came_and_only_its_own_name(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        await gateway.chat("auto", top_k=3, vendor={"x": [1, None]}, temperature=0.5)

        body = upstream.asked[0].body
        assert (body["model"], body["top_k"], body["vendor"]) == ("large", 3, {"x": [1, None]})
        assert upstream.asked[0].headers.get("authorization") is None


async def test_what_the_scorer_doubts_spills_over(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"))
        large.will(answer("the large answer"))
        sections = (models(small=small.base_url, large=large.base_url), CASCADE)
        async with serving(tmp_path, *sections) as gateway:
            response = await gateway.chat()

            assert response.json()["choices"][0]["message"]["content"] == "the large answer"
            assert response.headers["x-spillway-tier"] == "2"
            assert response.headers["x-spillway-strategy"].startswith("st_")
            assert Decimal(response.headers["x-spillway-cost-usd"]) == 2 * COST
            decision = await gateway.decision(response)
            assert [attempt["state"] for attempt in decision["attempts"]] == ["rejected", "accepted"]
            assert decision["attempts"][0]["score"] == 0.31
            assert decision["status"] == "answered"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_scorer_believes_is_the_answer(tmp_path: Path, stream: bool) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.93"))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), CASCADE) as gateway:
            response = await gateway.chat(stream=stream)

            assert "it is 0.93" in response.text
            assert response.headers["x-spillway-tier"] == "1"
            assert response.headers["x-spillway-score"] == "0.930000"
            assert response.headers["x-spillway-threshold"] == "0.800000"
            assert response.headers["x-spillway-stop-reason"] == "accepted"
            assert large.asked == []


async def test_an_answer_that_cannot_be_scored_goes_to_the_safe_model(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("unscorable"))
        async with serving(tmp_path, models(small=small.base_url, large=large.base_url), CASCADE) as gateway:
            response = await gateway.chat()
            assert response.headers["x-spillway-stop-reason"] == "scorer_abstained"
            assert response.json()["model"] == "large"
            assert "x-spillway-score" not in response.headers


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("policy", [OBSERVING, CASCADE])
async def test_a_stream_keeps_every_convention(tmp_path: Path, include_usage: bool, policy: str) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("grüße 0.95", cut=3))
        asked: dict[str, Any] = {"stream_options": {"include_usage": True}} if include_usage else {}
        sections = (models(small=upstream.base_url, large=upstream.base_url), policy)
        async with serving(tmp_path, *sections) as gateway:
            response = await gateway.chat(stream=True, **asked)

    assert response.headers["content-type"].startswith("text/event-stream")
    chunks = events(response.text)
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    said = [chunk for chunk in chunks if chunk["choices"]]
    assert said[0]["choices"][0]["delta"]["role"] == "assistant"
    assert all("role" not in chunk["choices"][0]["delta"] for chunk in said[1:])
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in said) == "grüße 0.95"
    assert said[-1]["choices"][0]["finish_reason"] == "stop"
    if include_usage:
        assert all(chunk["usage"] is None for chunk in said)
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["completion_tokens"] == USAGE[1]
        assert chunks[-1]["usage"]["cost"] == float(COST)
    else:
        assert chunks == said
        assert not any("usage" in chunk for chunk in chunks)


async def test_the_openai_client_reads_a_stream(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        options: Any = {"include_usage": True}
        stream = await gateway.client().chat.completions.create(
            model="auto", messages=HELLO, stream=True, stream_options=options
        )
        chunks = [chunk async for chunk in stream]

        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello there"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == sum(USAGE)


@pytest.mark.parametrize("stream", [False, True])
async def test_tool_calls_arrive_whole(tmp_path: Path, stream: bool) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"city":"Ulm"}'}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    async with BadUpstream() as upstream:
        upstream.will(answer(None, tool_calls=[call]))
        sections = (models(small=upstream.base_url, large=upstream.base_url), CASCADE)
        async with serving(tmp_path, *sections, threshold=0.1) as gateway:
            response = await gateway.chat(stream=stream, tools=tools)
            if not stream:
                assert response.json()["choices"][0]["message"]["tool_calls"] == [call]
                return
            deltas = [chunk["choices"][0]["delta"] for chunk in events(response.text)]
            calls = [delta["tool_calls"][0] for delta in deltas if delta.get("tool_calls")]
            assert calls[0]["index"] == 0
            assert "".join(piece["function"].get("arguments") or "" for piece in calls) == '{"city":"Ulm"}'


async def test_the_second_time_the_cache_answers_as_a_body_and_as_a_stream(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        first = await gateway.chat(temperature=0)
        second = await gateway.chat(temperature=0)
        third = await gateway.chat(temperature=0, stream=True)

        assert [response.headers["x-spillway-cache"] for response in (first, second, third)] == ["MISS", "HIT", "HIT"]
        assert second.json()["choices"] == first.json()["choices"]
        assert second.json()["id"] != first.json()["id"]
        assert second.json()["usage"]["cost"] == 0
        assert second.headers["x-spillway-cost-usd"] == "0"
        pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in events(third.text)]
        assert "".join(pieces) == "hello there"
        assert len(upstream.asked) == 1
        decision = await gateway.decision(second)
        assert (decision["status"], decision["cache"], decision["attempts"]) == ("cached", "HIT", [])
        assert Decimal(decision["cache_saved_usd"]) == COST


async def test_the_cache_keeps_tenants_and_temperatures_apart(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        _, other = await KeyStore(gateway.database).create("other", tenant_id="other")
        await gateway.chat(temperature=0)
        gateway.http.headers["authorization"] = f"Bearer {other}"
        assert (await gateway.chat(temperature=0)).headers["x-spillway-cache"] == "MISS"
        assert (await gateway.chat()).headers["x-spillway-cache"] == "DISABLED"
        assert (await gateway.chat(temperature=0, seed=1)).headers["x-spillway-cache"] == "MISS"


async def test_plain_models_pass_through(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        sections = (models(small=upstream.base_url, large=upstream.base_url), CASCADE)
        async with serving(tmp_path, *sections) as gateway:
            response = await gateway.chat("small")
            assert response.json()["model"] == "small"
            assert "x-spillway-policy" not in response.headers
            assert upstream.asked[0].body["model"] == "small"


async def test_models_are_listed_and_found(tmp_path: Path) -> None:
    section = models(large="http://127.0.0.1:1/v1", **{"org/small": "http://127.0.0.1:1/v1"})
    async with serving(tmp_path, section, OBSERVING) as gateway:
        listed = [model.id async for model in gateway.client().models.list()]
        assert listed == ["auto", "cascade/default", "large", "org/small"]
        assert (await gateway.client().models.retrieve("org/small")).id == "org/small"
        with pytest.raises(openai.NotFoundError, match="there are: auto"):
            await gateway.client().models.retrieve("medium")


async def test_a_decision_is_shown_to_its_own_tenant_only(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        response = await gateway.chat()
        decision = await gateway.decision(response)
        assert decision["answered_by"]["model"] == "large"
        assert decision["attempts"][0]["usage"]["prompt_tokens"] == USAGE[0]
        assert Decimal(decision["cost_usd"]) == COST

        _, other = await KeyStore(gateway.database).create("other", tenant_id="other")
        path = f"/v1/decisions/{response.headers['x-request-id']}"
        refused = await gateway.http.get(path, headers={"authorization": f"Bearer {other}"})
        assert refused.status_code == 404
        assert refused.json()["error"]["code"] == "decision_not_found"
        assert refused.json() == (await gateway.http.get("/v1/decisions/dec_0")).json()


async def test_a_failing_tier_is_stepped_over(tmp_path: Path) -> None:
    async with (
        BadUpstream() as large,
        serving(tmp_path, models(small=nobody_there(), large=large.base_url), CASCADE) as gateway,
    ):
        response = await gateway.chat()
        assert (response.status_code, response.json()["model"]) == (200, "large")
        decision = await gateway.decision(response)
        assert [attempt["state"] for attempt in decision["attempts"]] == ["failed", "failed", "accepted"]  # one retry


async def test_a_tier_that_cannot_serve_the_request_is_left_out(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        section = models(small=small.base_url, extra="capabilities: []", large=large.base_url)
        section = section.replace("capabilities: []", "capabilities: [tools]")
        async with serving(tmp_path, section, CASCADE) as gateway:
            image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
            refused = await gateway.chat(messages=[{"role": "user", "content": image}])
            assert refused.status_code == 400
            assert refused.json()["error"]["code"] == "unsupported_by_every_tier"
            assert "large has no vision; small has no vision" in refused.json()["error"]["message"]

    async with BadUpstream() as small, BadUpstream() as large:
        section = models(small=small.base_url) + models(large=large.base_url).removeprefix("models:\n")
        section = section.replace("name: small\n", "name: small\n    context_tokens: 50\n")
        async with serving(tmp_path, section, CASCADE) as gateway:
            response = await gateway.chat(messages=[{"role": "user", "content": "word " * 100}])
            assert response.headers["x-spillway-tier"] == "2"
            assert small.asked == []
            assert (await gateway.decision(response))["attempts"][0]["tier"] == 2


async def test_several_choices_are_passed_on(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(status(400, "n is too large"), empty_choices())
        async with serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
            with pytest.raises(openai.BadRequestError, match="n is too large"):
                await gateway.client().chat.completions.create(model="auto", messages=HELLO, n=3)
            assert upstream.asked[0].body["n"] == 3


class DoubtingScorer(NumberScorer):
    """Knows no word but hello."""

    def doubt(self, query: Query, rate: float) -> Doubt | None:
        strange = rate > 0 and query.messages[-1]["content"] != "hello"
        return Doubt(reason="unlike_text", detail="odd") if strange else None


@pytest.mark.parametrize("rate", ["", ", unlike_rate: 0"])
async def test_traffic_unlike_the_training_data_goes_to_the_safe_model_and_says_so(tmp_path: Path, rate: str) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.99"))
        large.will(answer("sure"))
        policy = f"policies: [{{name: default, safe_model: large, strategy: strategy.json, scorer: scorer{rate}}}]\n"
        sections = (models(small=small.base_url, large=large.base_url), policy)
        async with serving(tmp_path, *sections, load_scorer=lambda _folder: DoubtingScorer()) as gateway:
            usual = await gateway.chat()
            strange = await gateway.chat(messages=[{"role": "user", "content": "bonjour"}])
            assert usual.headers["x-spillway-model"] == "small"
            assert "x-spillway-abstained" not in usual.headers
            if rate:
                assert strange.headers["x-spillway-model"] == "small"
                return
            assert strange.headers["x-spillway-model"] == "large"
            assert strange.headers["x-spillway-stop-reason"] == "scorer_abstained"
            assert strange.headers["x-spillway-abstained"] == "unlike_text"
            told = await gateway.decision(strange)
            assert (told["stop_reason"], told["abstention"]) == ("scorer_abstained", "unlike_text")
            assert [attempt["model"] for attempt in told["attempts"]] == ["large"]
            metrics = (await gateway.http.get("/metrics")).text
            assert 'spillway_abstentions_total{policy="default",reason="unlike_text"} 1.0' in metrics
        assert len(small.asked) == 1
