"""Calls that nobody waits for are read to their end, so many and so long."""

import asyncio

from router.draining import Drainage


async def test_so_many_at_once_and_none_after_the_end() -> None:
    drainage, ended = Drainage(most=1), list[str]()

    async def read() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hung up")

    assert drainage.has_room
    drainage.take(read())
    assert (len(drainage), drainage.has_room) == (1, False)
    await asyncio.sleep(0)
    await drainage.aclose()
    assert (ended, len(drainage), drainage.has_room) == (["hung up"], 0, False)
