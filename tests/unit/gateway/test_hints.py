"""What replicas make of each other's word that an upstream fails."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from gateway.config.check import load_settings
from gateway.hints import BreakerHints
from gateway.offer import Offer, load_offer
from gateway.redis_link import RedisAway, RedisLink
from router.backends.breaker import Breaker
from tests.gateway_server import models

HINT = b"1 " + b"0" * 32


@dataclass
class One:
    """A replica's view of one model at one place."""

    hints: BreakerHints
    breaker: Breaker
    name: str


def replica(
    folder: Path, link: RedisLink, *, url: str = "http://127.0.0.1:1/v1", now: list[float] | None = None
) -> One:
    path = folder / "spillway.yaml"
    path.write_text(models(large=url))
    offer: Offer = load_offer(load_settings(path), cast("Any", None))
    clock = [0.0] if now is None else now
    hints = BreakerHints(link, lambda: offer, lambda: clock[0])
    ((name, breaker),) = hints._places()
    return One(hints=hints, breaker=breaker, name=name)


def fail(breaker: Breaker) -> None:
    for _ in range(5):
        breaker.failed(breaker.enter())


async def test_where_one_breaker_opens_the_others_let_their_next_call_decide(tmp_path: Path, link: RedisLink) -> None:
    one, two = replica(tmp_path, link), replica(tmp_path, link)
    elsewhere = replica(tmp_path, link, url="http://127.0.0.1:2/v1")
    fail(one.breaker)
    for each in (one, two, elsewhere, one):
        await each.hints.look()
    assert [each.breaker.state for each in (one, two, elsewhere)] == ["open", "half_open", "closed"]
    assert (one.hints.given, one.hints.taken, two.hints.given, two.hints.taken) == (1, 0, 0, 1)


async def test_a_hint_that_redis_refused_is_told_at_the_next_look(
    tmp_path: Path, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = replica(tmp_path, link), replica(tmp_path, link)
    fail(one.breaker)
    with monkeypatch.context() as patched:
        patched.setattr(Breaker, "wait_s", 1e30)  # for so long Redis keeps nothing
        await one.hints.look()
    assert one.hints.given == 0
    await one.hints.look()
    await two.hints.look()
    assert (one.hints.given, two.hints.taken) == (1, 1)


async def test_a_hint_that_was_found_wrong_is_not_believed_again(tmp_path: Path, link: RedisLink) -> None:
    now = [100.0]
    one, two = replica(tmp_path, link), replica(tmp_path, link, now=now)
    fail(one.breaker)
    await one.hints.look()
    await two.hints.look()
    two.breaker.succeeded(two.breaker.enter())
    now[0] += 60
    two.breaker._last_success = -1e9  # long ago
    await two.hints.look()
    assert two.breaker.state == "closed"


async def test_a_hint_lasts_as_long_as_the_pause(tmp_path: Path, link: RedisLink, redis: Redis) -> None:
    one = replica(tmp_path, link)
    fail(one.breaker)
    await one.hints.look()
    assert 9_000 < await redis.pttl(one.name) <= 10_000


async def test_ever_new_hints_make_a_call_a_probe_once_in_a_while(
    tmp_path: Path, link: RedisLink, redis: Redis
) -> None:
    now = [100.0]
    one = replica(tmp_path, link, now=now)
    for n in range(20):
        await redis.set(one.name, b"1 %032x" % n, ex=60)
        await one.hints.look()
        one.breaker.succeeded(one.breaker.enter())
        one.breaker._last_success = -1e9
        now[0] += 0.5
    assert one.hints.taken == 2


@pytest.mark.parametrize("value", [b"", b"1", HINT + b"0", b"2" + HINT[1:], b"x" * 100_000, b"\x00\xff"])
async def test_odd_values_are_no_hints(tmp_path: Path, link: RedisLink, redis: Redis, value: bytes) -> None:
    one = replica(tmp_path, link)
    await redis.set(one.name, value, ex=60)
    await one.hints.look()
    assert one.breaker.state == "closed"
    await redis.delete(one.name)
    await redis.lpush(one.name, HINT)
    await one.hints.look()
    assert one.breaker.state == "closed"
    assert not link.away


async def test_what_could_not_be_told_is_told_later(tmp_path: Path, link: RedisLink) -> None:
    nobody = RedisLink("redis://127.0.0.1:1/0", timeout_s=0.5)
    one, two = replica(tmp_path, nobody), replica(tmp_path, link)
    fail(one.breaker)
    with pytest.raises(RedisAway):
        await one.hints.look()
    await nobody.aclose()
    one.hints._link = link
    await one.hints.look()
    one.hints._link = nobody
    names = {each.name.partition(":")[2] for each in (one, two)}
    assert len(names) == 1
    await two.hints.look()
    assert two.breaker.state == "half_open"
