"""A body is read to its end or not beyond the limit."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from gateway.errors import BodyTooLarge, BodyTooSlow
from gateway.routes import body as reading
from gateway.routes.body import read_body


class Client:
    """Sends pieces; counts how many were taken."""

    def __init__(self, pieces: list[bytes], *, goes: bool = False) -> None:
        self.messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
        ]
        self.messages.append({"type": "http.disconnect"} if goes else {"type": "http.request", "body": b""})
        self.taken = 0

    async def receive(self) -> dict[str, Any]:
        self.taken += 1
        return self.messages[self.taken - 1]


def scope(length: str | None = None) -> dict[str, Any]:
    return {"headers": [] if length is None else [(b"content-length", length.encode())]}


@given(st.lists(st.binary(max_size=8), max_size=8), st.integers(0, 40))
async def test_a_body_is_whole_or_refused_at_the_limit(pieces: list[bytes], limit: int) -> None:
    client, whole = Client(pieces), b"".join(pieces)
    if len(whole) <= limit:
        assert await read_body(scope(), client.receive, limit) == whole
        return
    with pytest.raises(BodyTooLarge):
        await read_body(scope(), client.receive, limit)
    assert sum(map(len, pieces[: client.taken - 1])) <= limit


@pytest.mark.parametrize("length", ["11", "9" * 18, "9" * 5000])
async def test_a_declared_length_is_refused_before_anything_is_read(length: str) -> None:
    client = Client([b"x"])
    with pytest.raises(BodyTooLarge):
        await read_body(scope(length), client.receive, 10)
    assert client.taken == 0


@pytest.mark.parametrize("length", ["10", "-1", "x", ""])
async def test_a_declared_length_is_not_believed(length: str) -> None:
    with pytest.raises(BodyTooLarge):
        await read_body(scope(length), Client([b"x" * 11]).receive, 10)


async def test_a_client_that_goes_while_it_sends_is_noticed() -> None:
    with pytest.raises(ClientDisconnect):
        await read_body(scope(), Client([b"x"], goes=True).receive, 10)


async def test_a_body_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PATIENCE_S", 0.01)

    async def trickle() -> dict[str, Any]:
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": b"", "more_body": True}

    with pytest.raises(BodyTooSlow) as slow:
        await read_body(scope(), trickle, 40)
    assert slow.value.status == 408
