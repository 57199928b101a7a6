"""Traces and the conventions' metrics as a collector receives them, and what a bad collector costs: nothing."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.collector import Collector, Seen
from tests.gateway_server import CASCADE, HELLO, OBSERVING, models, serving
from tests.upstream import BadUpstream, answer, hang, status, vectors

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
PROMPT = "a question that nobody else may read"


def telling(url: str, **more: object) -> str:
    settings = {"endpoint": url, "headers": {"x-token": "a-secret"}, "timeout_s": 2} | more
    return f"telemetry: {json.dumps({'otlp': settings})}\n"


def one(spans: list[Seen], **wanted: object) -> Seen:
    (found,) = (
        span for span in spans if all(span.said.get(name.replace("__", ".")) == is_ for name, is_ in wanted.items())
    )
    return found


async def test_an_escalated_stream_is_one_trace_with_a_span_for_each_call(tmp_path: Path) -> None:
    async with Collector() as collector, BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.30"))
        large.will(answer("the better answer"))
        upstreams = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, upstreams, CASCADE, telling(collector.url)) as gateway:
            client = gateway.client(default_headers={"traceparent": TRACEPARENT, "baggage": "user=alice"})
            asked: Any = [{"role": "user", "content": PROMPT}]
            stream = await client.chat.completions.create(model="auto", messages=asked, stream=True)
            assert isinstance(stream, openai.AsyncStream)
            assert [chunk async for chunk in stream]
            decision = await gateway.closed(stream.response.headers["x-request-id"])
        print(*(f"{span.name}: {span.said}" for span in collector.spans), sep="\n")
        assert {span.trace_id for span in collector.spans} == {TRACE}
        server = one(collector.spans, http__route="/v1/chat/completions")
        assert (server.kind, server.parent_id, server.name) == (2, PARENT, "POST /v1/chat/completions")
        assert server.said["gen_ai.request.model"] == "auto"
        assert server.said["gen_ai.response.model"] == "large"
        assert server.said["spillway.decision.id"] == decision.decision_id
        assert server.said["spillway.tier"] == 2
        first, second = (one(collector.spans, spillway__model=model) for model in ("small", "large"))
        for span, upstream in ((first, small), (second, large)):
            assert (span.kind, span.parent_id) == (3, server.span_id)
            assert span.said["gen_ai.operation.name"] == "chat"
            assert span.said["gen_ai.provider.name"] == "127.0.0.1"
            assert upstream.asked[0].headers["traceparent"] == f"00-{TRACE}-{span.span_id}-01"
            assert "baggage" not in upstream.asked[0].headers
        assert first.said["spillway.score"] == pytest.approx(0.3)
        assert first.said["spillway.threshold"] == pytest.approx(0.8)
        assert (first.said["spillway.attempt.state"], second.said["spillway.attempt.state"]) == ("rejected", "accepted")
        assert second.said["gen_ai.response.finish_reasons"] == ["stop"]
        spent = sum(span.said["spillway.cost_usd"] for span in (first, second))
        assert server.said["spillway.cost_usd"] == pytest.approx(spent)
        tokens = collector.metrics["gen_ai.client.token.usage"]
        sums = {(point["gen_ai.request.model"], point["gen_ai.token.type"]): point["sum"] for point in tokens}
        assert sums[("large", "input")] == second.said["gen_ai.usage.input_tokens"]
        assert len(collector.metrics["gen_ai.client.operation.duration"]) == 2
        assert all(headers["x-token"] == "a-secret" for headers in collector.headers)
        for secret in (PROMPT, "better answer", gateway.key, "a-secret", "alice"):
            assert secret.encode() not in collector.raw


async def test_a_failed_call_is_told_by_its_kind_and_never_in_the_upstreams_words(tmp_path: Path) -> None:
    async with Collector() as collector, BadUpstream() as small, BadUpstream() as large:
        small.will(status(400, message=PROMPT))
        upstreams = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, upstreams, CASCADE, telling(collector.url)) as gateway:
            await gateway.chat()
        failed = one(collector.spans, spillway__model="small")
        assert (failed.failed, failed.status_text) == (True, "")
        assert failed.said["error.type"].startswith("Backend")
        assert PROMPT.encode() not in collector.raw


async def test_a_call_made_again_and_an_embedding_have_spans_of_their_own(tmp_path: Path) -> None:
    async with Collector() as collector, BadUpstream() as large, BadUpstream() as vectoring:
        large.will(status(503, retry_after="0"), answer("0.9"))
        vectoring.will(vectors())
        more = f"  - {{name: vec, backend: openai_compatible, serves: embeddings, base_url: {vectoring.base_url}}}\n"
        async with serving(tmp_path, models(large=large.base_url) + more, OBSERVING, telling(collector.url)) as gateway:
            assert (await gateway.chat(model="large")).status_code == 200
            embedded = await gateway.http.post("/v1/embeddings", json={"model": "vec", "input": PROMPT})
            assert embedded.status_code == 200, embedded.text
        failed, again = (
            one(collector.spans, spillway__model="large", spillway__attempt__cause=cause)
            for cause in ("first", "retry")
        )
        assert (failed.failed, again.failed) == (True, False)
        assert failed.parent_id == again.parent_id
        assert large.asked[1].headers["traceparent"].split("-")[2] == again.span_id
        assert one(collector.spans, spillway__model="vec").name == "embeddings vec"
        assert PROMPT.encode() not in collector.raw


async def test_judges_hedges_fallbacks_and_shadows_have_spans_that_say_what_they_are(tmp_path: Path) -> None:
    async with Collector() as collector, BadUpstream() as small, BadUpstream() as large, BadUpstream() as judge:
        small.will(hang("before_headers"), answer("0.95"), status(500))
        judge.will(answer("GOOD"))
        listed = models(small=small.base_url, large=large.base_url, judge=judge.base_url)
        hedged = listed.replace(
            "  - name: small\n", "  - name: small\n    hedge_after_s: 0.05\n    fallbacks: [judge]\n"
        )
        policy = CASCADE.replace(
            "}]",
            ", shadow: {share: 1, usd_per_day: 1}, verifiers: [{name: second, kind: judge, model: judge}]}]",
        )
        async with serving(tmp_path, hedged, policy, telling(collector.url)) as gateway:
            response = await gateway.chat()
            decision_id = response.headers["x-request-id"]
            async with asyncio.timeout(30):
                while len((await gateway.closed(decision_id)).attempts) < 4:  # noqa: ASYNC110 - the shadow comes after
                    await asyncio.sleep(0.02)
            fell_back = await gateway.chat(model="small", messages=[{"role": "user", "content": "another"}])
            assert (fell_back.status_code, fell_back.headers["x-spillway-model"]) == (200, "judge")
        told = [
            (span.said["spillway.model"], span.said["spillway.attempt.kind"], span.said["spillway.attempt.cause"])
            for span in collector.spans
            if "spillway.attempt.id" in span.said and span.said.get("spillway.attempt.kind")
        ]
        assert ("small", "answer", "first") in told
        assert ("small", "answer", "hedge") in told
        assert ("judge", "judge", "first") in told
        assert ("large", "shadow", "first") in told
        assert ("judge", "answer", "fallback") in told
        server = one(collector.spans, spillway__decision__id=decision_id)
        for model in ("large", "judge"):
            spans = [span for span in collector.spans if span.said.get("spillway.model") == model]
            assert spans[0].parent_id == server.span_id


@pytest.mark.parametrize("parent", [f"00-{TRACE}-{PARENT}-00", None])
async def test_what_is_not_drawn_is_not_recorded(tmp_path: Path, parent: str | None) -> None:
    async with Collector() as collector, BadUpstream() as large:
        otlp = telling(collector.url, sample_ratio=0.0)
        async with serving(tmp_path, models(large=large.base_url), OBSERVING, otlp) as gateway:
            headers = {} if parent is None else {"traceparent": parent}
            body = {"model": "large", "messages": HELLO}
            assert (await gateway.http.post("/v1/chat/completions", json=body, headers=headers)).status_code == 200
            scraped = await gateway.http.get("/metrics", headers={"accept": "application/openmetrics-text"})
            assert "trace_id" not in scraped.text
        assert collector.spans == []
        flags = int(large.asked[0].headers["traceparent"].rpartition("-")[2], 16)
        assert not flags & 1


async def test_an_example_leads_to_its_trace(tmp_path: Path) -> None:
    async with Collector() as collector, BadUpstream() as large:
        async with serving(tmp_path, models(large=large.base_url), OBSERVING, telling(collector.url)) as gateway:
            body = {"model": "large", "messages": HELLO}
            await gateway.http.post("/v1/chat/completions", json=body, headers={"traceparent": TRACEPARENT})
            scraped = await gateway.http.get("/metrics", headers={"accept": "application/openmetrics-text"})
        assert f'trace_id="{TRACE}"' in scraped.text


async def test_a_deaf_collector_costs_requests_nothing_and_its_queue_is_bounded(tmp_path: Path) -> None:
    async with Collector(deaf=True) as collector, BadUpstream() as large:
        otlp = telling(collector.url, queue=8, spans_every_s=0.01, timeout_s=0.5)
        async with serving(tmp_path, models(large=large.base_url), OBSERVING, otlp) as gateway:
            await gateway.chat()
            took = []
            for _ in range(60):
                began = time.perf_counter()
                assert (await gateway.chat()).status_code == 200
                took.append(time.perf_counter() - began)
            assert sorted(took)[len(took) // 2] < 0.25  # an export waits twice as long for its answer
            began = time.perf_counter()
        assert time.perf_counter() - began < 5
        assert collector.headers
        assert collector.spans == []


async def test_a_collector_that_is_not_there_costs_requests_nothing(tmp_path: Path) -> None:
    async with BadUpstream() as large:
        otlp = telling("http://127.0.0.1:9", timeout_s=0.5)
        async with serving(tmp_path, models(large=large.base_url), OBSERVING, otlp) as gateway:
            answers = await asyncio.gather(*(gateway.chat() for _ in range(20)))
        assert {response.status_code for response in answers} == {200}


def test_nothing_of_opentelemetrys_sdk_is_loaded_where_no_collector_is_configured() -> None:
    loading = "import sys, gateway.app; sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", loading], check=False).returncode == 0
