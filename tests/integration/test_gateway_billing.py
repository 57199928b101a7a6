"""What a call costs that nobody waited for, by its provider's rule, at each phase in which a client can leave."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.ledger.decisions import AttemptReport
from gateway.ledger.reports import Reports
from gateway.ledger.tables import requests
from router.tokenizers import count_prompt, load_tokenizer
from tests import upstream as up
from tests.databases import rows_of
from tests.gateway_server import HELLO, OBSERVING, PRICE, Running, serving
from tests.wire import USAGE, chunk_of, chunks_of, event

TOLD = USAGE[0] * 1_000 + USAGE[1] * 10_000  # nano-USD at PRICE


def slowly(*, told: bool = True, ends: bool = True) -> tuple[up.Behaviour, asyncio.Event]:
    """A stream that says a word, and the rest (with its usage) once the event is set."""
    go_on = asyncio.Event()

    async def behave(exchange: up.Exchange) -> None:
        exchange.asked.usage = USAGE
        await exchange.head(200, {"content-type": "text/event-stream"})
        await exchange.send(event(chunk_of({"role": "assistant", "content": "hello"})))
        await go_on.wait()
        if ends:
            for chunk in chunks_of(" there", USAGE if told else None):
                await exchange.send(event(chunk))
            await exchange.send(b"data: [DONE]\n\n")
            await exchange.end()
        else:
            await exchange.until_hung_up()

    return behave, go_on


def model(base_url: str, provider: str, more: str = "") -> str:
    place = f"backend: openai_compatible, base_url: '{base_url}', max_output_tokens: 64"
    return f"models: [{{name: large, {place}, provider: {provider}, {PRICE}{more}}}]\n"


@asynccontextmanager
async def gateway_of(
    folder: Path, upstream: up.BadUpstream, provider: str, ledger: str = "", more: str = ""
) -> AsyncGenerator[Running]:
    async with serving(folder, model(upstream.base_url, provider, more), OBSERVING, ledger) as gateway:
        yield gateway


async def left_in_mid_stream(gateway: Running) -> str:
    """Ask for a stream, read its first word, and go."""
    asked = {"model": "auto", "messages": HELLO, "stream": True}
    async with gateway.http.stream("POST", "/v1/chat/completions", json=asked) as response:
        await anext(response.aiter_bytes())
        return response.headers["x-request-id"]


async def left_before_an_answer(gateway: Running, upstream: up.BadUpstream, *, stream: bool) -> str:
    asking = asyncio.create_task(gateway.chat(stream=stream))
    await upstream.reached()
    asking.cancel()
    await asyncio.wait({asking})
    async with asyncio.timeout(20):
        while True:
            rows = await Reports(gateway.database).spend("day")
            if rows and rows[0].requests:
                break
            await asyncio.sleep(0.01)
    (row,) = await rows_of(gateway.database, requests)
    return str(row["decision_id"])


async def ended(gateway: Running, decision_id: str) -> AttemptReport:
    """The one attempt, once it is settled."""
    async with asyncio.timeout(20):
        while True:
            found = await Reports(gateway.database).decision(decision_id, None)
            if found is not None and found.attempts and found.attempts[0].state is not None:
                (attempt,) = found.attempts
                return attempt
            await asyncio.sleep(0.01)


async def test_drain_learns_what_a_stream_costs_that_nobody_reads(tmp_path: Path) -> None:
    async with up.BadUpstream() as upstream, gateway_of(tmp_path, upstream, "gemini") as gateway:
        behave, go_on = slowly()
        upstream.will(behave)
        decision = await left_in_mid_stream(gateway)
        closed = await gateway.closed(decision)
        assert (closed.status, closed.attempts[0].state) == ("cancelled", None)  # the call is still under way
        go_on.set()
        attempt = await ended(gateway, decision)
    assert (attempt.state, attempt.usage_source, attempt.amount_nanousd) == ("cancelled", "provider", TOLD)
    assert not upstream.asked[0].hung_up.is_set()


@pytest.mark.parametrize("stream", [False, True])
async def test_drain_learns_it_also_where_nothing_was_heard_yet(tmp_path: Path, stream: bool) -> None:
    async with up.BadUpstream() as upstream, gateway_of(tmp_path, upstream, "gemini") as gateway:
        go_on = asyncio.Event()

        async def behave(exchange: up.Exchange) -> None:
            await go_on.wait()
            await up.answer("hello there")(exchange)

        upstream.will(behave)
        decision = await left_before_an_answer(gateway, upstream, stream=stream)
        go_on.set()
        attempt = await ended(gateway, decision)
    assert (attempt.state, attempt.usage_source, attempt.amount_nanousd) == ("cancelled", "provider", TOLD)


async def test_drain_is_bounded_in_time_and_then_the_bound_is_put_down(tmp_path: Path) -> None:
    bounded = "ledger: {drain_s: 0.2}\n"
    async with up.BadUpstream() as upstream, gateway_of(tmp_path, upstream, "gemini", bounded) as gateway:
        behave, go_on = slowly(ends=False)
        upstream.will(behave)
        attempt = await ended(gateway, await left_in_mid_stream(gateway))
        assert attempt.usage_source == "estimated"
        assert attempt.amount_nanousd == attempt.reserved_nanousd
        go_on.set()
        await upstream.asked[0].hung_up.wait()


async def test_drain_is_bounded_in_number(tmp_path: Path) -> None:
    bounded = "ledger: {drain_most: 1}\n"
    async with up.BadUpstream() as upstream, gateway_of(tmp_path, upstream, "gemini", bounded) as gateway:
        behave, go_on = slowly()
        upstream.will(behave)
        first = await left_in_mid_stream(gateway)
        second = await ended(gateway, await left_in_mid_stream(gateway))
        assert second.amount_nanousd == second.reserved_nanousd
        go_on.set()
        assert (await ended(gateway, first)).amount_nanousd == TOLD


async def test_a_stop_settles_what_is_still_being_read(tmp_path: Path) -> None:
    async with up.BadUpstream() as upstream:
        async with gateway_of(tmp_path, upstream, "gemini") as gateway:
            upstream.will(slowly()[0])
            decision = await left_in_mid_stream(gateway)
            await gateway.closed(decision)
            path, database = gateway.database.name, gateway.database
        assert path
        attempt = await ended(gateway, decision)
        assert attempt.amount_nanousd == attempt.reserved_nanousd
        await database.dispose()


@pytest.mark.parametrize(
    ("provider", "cost"),
    [
        ("recorded", 0),
        ("openai", 44_000 + (5 + 32) * 10_000),  # the prompt's bytes, the word's, and a little that was under way
    ],
)
async def test_others_are_hung_up_on_and_put_down_by_their_rules(tmp_path: Path, provider: str, cost: int) -> None:
    async with up.BadUpstream() as upstream, gateway_of(tmp_path, upstream, provider) as gateway:
        upstream.will(up.hang("mid_stream"))
        attempt = await ended(gateway, await left_in_mid_stream(gateway))
        await upstream.asked[0].hung_up.wait()
    assert attempt.amount_nanousd == pytest.approx(cost, abs=30_000 if cost else 0)
    assert attempt.usage_source == ("estimated" if cost else None)


@pytest.mark.parametrize("stream", [False, True])
async def test_where_nothing_was_heard_an_estimate_is_the_bound(tmp_path: Path, stream: bool) -> None:
    async with up.BadUpstream() as upstream, gateway_of(tmp_path, upstream, "openai") as gateway:
        upstream.will(up.hang("before_headers"))
        attempt = await ended(gateway, await left_before_an_answer(gateway, upstream, stream=stream))
    assert (attempt.usage_source, attempt.amount_nanousd) == ("estimated", attempt.reserved_nanousd)


async def test_a_configuration_says_otherwise(tmp_path: Path) -> None:
    rules = "ledger: {billing: {mine: {hung_up: drain}}}\n"
    async with up.BadUpstream() as upstream, gateway_of(tmp_path, upstream, "mine", rules) as gateway:
        behave, go_on = slowly()
        upstream.will(behave)
        decision = await left_in_mid_stream(gateway)
        go_on.set()
        assert (await ended(gateway, decision)).amount_nanousd == TOLD


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_usage_is_counted_by_the_models_tokenizer(tmp_path: Path, stream: bool) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(up.answer("hello there", usage=None))
        async with gateway_of(tmp_path, upstream, "mine", more=", upstream_model: gpt-4o-mini") as gateway:
            response = await gateway.chat(stream=stream)
            attempt = await ended(gateway, response.headers["x-request-id"])
    prompt = count_prompt({"messages": HELLO}, load_tokenizer("o200k_base"))
    assert prompt is not None
    assert attempt.usage_source == "counted"
    assert attempt.amount_nanousd == prompt.tokens * 1_000 + 2 * 10_000


async def test_a_stream_that_broke_off_is_estimated_by_the_models_tokenizer(tmp_path: Path) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(up.hang("mid_stream"))
        async with gateway_of(tmp_path, upstream, "mine", more=", tokenizer: cl100k_base") as gateway:
            attempt = await ended(gateway, await left_in_mid_stream(gateway))
    assert (attempt.usage_source, attempt.amount_nanousd) == ("estimated", 8 * 1_000 + (1 + 32) * 10_000)


async def test_a_tokenizer_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with up.BadUpstream() as upstream:
        with pytest.raises(Exception, match=r"tokenizer.*nor a tokenizer\.json at"):
            async with gateway_of(tmp_path, upstream, "mine", more=", tokenizer: tiktokn"):
                pass
