"""A session's token names its key for a while, and only if it was made here."""

import pytest
from hypothesis import given
from hypothesis.strategies import text

from gateway.dashboard.session import LIFETIME_S, Sessions


class Clock:
    """A clock that stands until it is moved."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def sessions(secret: bytes = b"s" * 32, clock: Clock | None = None) -> Sessions:
    async def ask() -> bytes:
        return secret

    return Sessions(ask, clock=clock or Clock())


async def test_a_token_names_its_key_until_it_expires() -> None:
    clock = Clock()
    made = sessions(clock=clock)
    token = await made.begin("key_1")
    assert await made.key_id(token) == "key_1"
    clock.now += LIFETIME_S - 1
    assert await made.key_id(token) == "key_1"
    clock.now += 1
    assert await made.key_id(token) is None


async def test_every_process_with_the_secret_reads_it_and_no_other() -> None:
    token = await sessions().begin("key_1")
    assert await sessions().key_id(token) == "key_1"
    assert await sessions(b"t" * 32).key_id(token) is None


async def test_neither_key_nor_expiry_can_be_changed() -> None:
    made = sessions()
    key_id, expiry, signature = (await made.begin("key_1")).split(".")
    assert await made.key_id(f"key_2.{expiry}.{signature}") is None
    assert await made.key_id(f"{key_id}.{int(expiry) + 1}.{signature}") is None
    assert await made.key_id(f"{key_id}.{expiry}.{signature[:-1]}") is None


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "key_1.99999999999.", "é.1.\ud800", "x" * 10_000])
async def test_nonsense_is_nobodys(token: str) -> None:
    assert await sessions().key_id(token) is None


@given(text())
async def test_no_text_is_a_token(token: str) -> None:
    assert await sessions().key_id(token) is None
