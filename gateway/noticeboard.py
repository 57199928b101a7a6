"""Where replicas tell each other what they serve: one hash in Redis, and a call to all of them beside it.

Knows Redis, and whose word is fresh by Redis' own clock, which may step back where another Redis takes over. What is
said there is text, to be doubted by who reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from redis.asyncio import Redis

from gateway.redis_link import RedisLink

FRESH_S = 5
_MOST_BYTES = 4096  # of one replica's word; a longer one is nobody's

# KEYS: the hash of what each tells, and the call. ARGV: who tells, what, for how many s that is fresh, the most bytes.
# Answer: the call, then names and words in turn.
_TELL = """
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], 60)
local answer = {redis.call('GETRANGE', KEYS[2], 0, 63)}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local at, word = string.match(all[i + 1], '^(%d+) (.*)$')
  if at and math.abs(tonumber(at) - now) <= tonumber(ARGV[3]) and #word <= tonumber(ARGV[4]) then
    answer[#answer + 1] = all[i]
    answer[#answer + 1] = word
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
return answer
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """words : what each replica that lives told last.   call : the last call to all of them, "" if there was none."""

    words: Mapping[str, str]
    call: str


class Noticeboard:
    """All methods raise RedisAway."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def tell(self, name: str, word: str) -> Notices:
        """Tell, and hear what the others do."""
        keys = (self._link.name("replicas"), self._link.name("call"))

        async def ask(redis: Redis) -> list[bytes]:
            answer: list[bytes] = await redis.eval(_TELL, 2, *keys, name, word, FRESH_S, _MOST_BYTES)
            return answer

        call, *told = [one.decode("utf-8", "replace") for one in await self._link.ask(ask)]
        return Notices(words=dict(zip(told[::2], told[1::2], strict=True)), call=call)

    async def call(self, call: str) -> None:
        """Call all. Whoever tells next hears it; it stays for a day, for those that are away meanwhile."""
        await self._link.ask(lambda redis: redis.set(self._link.name("call"), call, ex=86_400))

    async def leave(self, name: str) -> None:
        """Be no more."""
        await self._link.ask(lambda redis: redis.hdel(self._link.name("replicas"), name))
