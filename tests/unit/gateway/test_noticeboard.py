"""What replicas tell each other, in Redis."""

import pytest
from redis.asyncio import Redis

from gateway.noticeboard import FRESH_S, Noticeboard
from gateway.redis_link import RedisAway, RedisLink
from tests.redis_server import REDIS


async def test_all_hear_what_each_told_last_and_those_that_left_are_heard_no_more(link: RedisLink) -> None:
    board = Noticeboard(link)
    assert (await board.tell("a", "old words")).words == {"a": "old words"}
    await board.tell("a", "new  words")
    assert (await board.tell("b", "")).words == {"a": "new  words", "b": ""}
    await board.leave("a")
    assert (await board.tell("b", "still here")).words == {"b": "still here"}


async def test_a_call_is_heard_by_all(link: RedisLink) -> None:
    board = Noticeboard(link)
    assert (await board.tell("a", "")).call == ""
    await board.call("once")
    assert (await board.tell("a", "")).call == (await board.tell("b", "")).call == "once"


async def test_a_word_that_was_not_renewed_is_taken_down(link: RedisLink) -> None:
    async with Redis.from_url(REDIS) as redis:
        now, _ = await redis.time()
        await redis.hset(link.name("replicas"), "dead", f"{now - FRESH_S - 1} words")
        assert (await Noticeboard(link).tell("a", "w")).words == {"a": "w"}
        assert await redis.hkeys(link.name("replicas")) == [b"a"]


async def test_a_word_from_the_clock_of_another_redis_is_taken_down(link: RedisLink) -> None:
    """As after a failover, where the clock that it was told by was ahead."""
    async with Redis.from_url(REDIS) as redis:
        now, _ = await redis.time()
        await redis.hset(link.name("replicas"), "dead", f"{now + 3600} words")
    assert (await Noticeboard(link).tell("a", "w")).words == {"a": "w"}


@pytest.mark.parametrize("value", [b"", b"no time", b"-1 x", b"99999999999 " + b"x" * 10_000])
async def test_odd_words_are_taken_down(link: RedisLink, value: bytes) -> None:
    async with Redis.from_url(REDIS) as redis:
        await redis.hset(link.name("replicas"), "odd", value)
    assert (await Noticeboard(link).tell("a", "w")).words == {"a": "w"}


async def test_something_else_in_its_place_is_as_if_redis_were_away(link: RedisLink) -> None:
    async with Redis.from_url(REDIS) as redis:
        await redis.set(link.name("replicas"), "x")
    with pytest.raises(RedisAway):
        await Noticeboard(link).tell("a", "w")
    assert not link.away
