"""The second try: once, only where nothing can have been billed, and never after a chunk went out."""

from collections.abc import AsyncGenerator

import pytest

from router.backends.backend import Call, Chunk, Reply
from router.backends.resilient import Retrying
from router.errors import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendNonsense,
    BackendRefused,
    BackendTimeout,
    BackendUnauthorized,
    BackendUnreachable,
)
from scorer.answer import Answer

REPLY = Reply(answer=Answer(model="m", text="hi"), usage=None, body={}, latency_s=0.1)
CALL = Call(request_id="r", body={})


class Scripted:
    """Does what it is told, call by call; a number stands for chunks before the error that follows it."""

    model = "m"

    def __init__(self, *script: BackendError | Reply, chunks_first: int = 0) -> None:
        self.script = list(script)
        self.chunks_first = chunks_first
        self.calls: list[Call] = []
        self.closed = False

    async def complete(self, call: Call) -> Reply:
        self.calls.append(call)
        step = self.script.pop(0)
        if isinstance(step, BackendError):
            raise step
        return step

    async def stream(self, call: Call) -> AsyncGenerator[Chunk]:
        self.calls.append(call)
        step = self.script.pop(0)
        for _ in range(self.chunks_first):
            yield Chunk(body={})
        if isinstance(step, BackendError):
            raise step
        yield Chunk(body=None, reply=step)

    async def aclose(self) -> None:
        self.closed = True


def retrying(backend: Scripted, timeout_s: float = 60.0) -> tuple[Retrying, list[float]]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return Retrying(backend, timeout_s=timeout_s, sleep=sleep, random_number=lambda: 0.5), waits


async def ask(backend: Retrying, call: Call, *, streams: bool) -> Reply | None:
    if not streams:
        return await backend.complete(call)
    return [chunk async for chunk in backend.stream(call)][-1].reply


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("error", "waited"),
    [
        (BackendUnreachable("m", "x"), 0.35),
        (BackendBusy("m", "x"), 0.35),
        (BackendBusy("m", "x", retry_after_s=0.0), 0.0),
        (BackendBusy("m", "x", retry_after_s=4.0), 4.0),
    ],
)
async def test_a_second_try_after_the_wait_that_was_asked_for(
    error: BackendError, waited: float, streams: bool
) -> None:
    upstream = Scripted(error, REPLY)
    backend, waits = retrying(upstream)
    assert await ask(backend, CALL, streams=streams) is REPLY
    assert waits == [pytest.approx(waited)]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        BackendTimeout("m", "x"),
        BackendBroken("m", "x"),
        BackendNonsense("m", "x"),
        BackendRefused("m", "x"),
        BackendUnauthorized("m", "x"),
        BackendBusy("m", "x", retry_after_s=6.0),
    ],
)
async def test_no_second_try_where_it_may_pay_twice_or_is_no_use(error: BackendError, streams: bool) -> None:
    upstream = Scripted(error, REPLY)
    backend, waits = retrying(upstream)
    with pytest.raises(type(error)):
        await ask(backend, CALL, streams=streams)
    assert (len(upstream.calls), waits) == (1, [])


@pytest.mark.parametrize("streams", [False, True])
async def test_no_third_try(streams: bool) -> None:
    upstream = Scripted(BackendBusy("m", "first"), BackendBusy("m", "second"), REPLY)
    backend, _ = retrying(upstream)
    with pytest.raises(BackendBusy, match="second"):
        await ask(backend, CALL, streams=streams)
    assert len(upstream.calls) == 2


async def test_no_second_try_once_a_chunk_went_out() -> None:
    upstream = Scripted(BackendBusy("m", "x"), REPLY, chunks_first=1)
    backend, _ = retrying(upstream)
    chunks = backend.stream(CALL)
    assert (await anext(chunks)).body == {}
    with pytest.raises(BackendBusy):
        await anext(chunks)
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(("own_s", "call_s"), [(1.0, None), (60.0, 1.0), (1.0, 60.0)])
async def test_no_wait_beyond_the_deadline(own_s: float, call_s: float | None) -> None:
    upstream = Scripted(BackendBusy("m", "x", retry_after_s=2.0), REPLY)
    backend, waits = retrying(upstream, own_s)
    with pytest.raises(BackendBusy):
        await backend.complete(Call(request_id="r", body={}, timeout_s=call_s))
    assert waits == []


async def test_the_second_try_has_the_time_that_is_left() -> None:
    upstream = Scripted(BackendBusy("m", "x"), REPLY)
    backend, _ = retrying(upstream, 10.0)
    await backend.complete(CALL)
    assert upstream.calls[0].timeout_s is None
    assert upstream.calls[1].timeout_s is not None
    assert upstream.calls[1].timeout_s <= 10.0


async def test_it_stands_for_its_backend() -> None:
    upstream = Scripted()
    backend, _ = retrying(upstream)
    await backend.aclose()
    assert (backend.model, upstream.closed) == ("m", True)
