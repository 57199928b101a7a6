"""A call on the gateway's own behalf is opened before and closed after, once, however it ends."""

import asyncio

import pytest

from router.attempting import attempted
from router.backends.backend import Reply
from router.errors import BackendBroken
from router.outcome import Attempt
from router.trial import Opening, Trial
from tests.unit.router.cascades import Model


class Log:
    """Remembers what was closed; refuses, or never answers, if told."""

    def __init__(self, refusal: Exception | None = None, *, hangs: bool = False) -> None:
        self._refusal, self._hangs = refusal, hangs
        self.closed: list[Attempt] = []

    async def open(self, opening: Opening) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        if self._refusal is not None:
            raise self._refusal

    def close(self, attempt: Attempt) -> None:
        self.closed.append(attempt)


def trial() -> Trial:
    return Trial(opening=Opening(attempt_id="att_1", stage=0, model="m", kind="judge"), threshold=None)


async def replying() -> Reply:
    return Model("m").reply


async def breaking() -> Reply:
    raise BackendBroken("m", "out of order")


async def hanging() -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


async def test_an_answer_is_an_attempt_that_was_accepted() -> None:
    log = Log()
    assert (await attempted(log, trial(), replying)).answer.text == "from m"
    assert [(attempt.id, attempt.state, attempt.error) for attempt in log.closed] == [("att_1", "accepted", None)]


async def test_a_bug_in_a_backend_is_an_attempt_that_failed() -> None:
    async def raising() -> Reply:
        raise KeyError("choices")

    log = Log()
    with pytest.raises(BackendBroken, match="unexpected KeyError"):
        await attempted(log, trial(), raising)
    assert [(attempt.state, type(attempt.error)) for attempt in log.closed] == [("failed", BackendBroken)]


async def test_a_failure_is_an_attempt_that_failed() -> None:
    log = Log()
    with pytest.raises(BackendBroken):
        await attempted(log, trial(), breaking)
    assert [(attempt.state, type(attempt.error)) for attempt in log.closed] == [("failed", BackendBroken)]


async def test_what_the_log_refuses_is_not_called_and_not_closed() -> None:
    log = Log(RuntimeError("no money"))
    with pytest.raises(RuntimeError):
        await attempted(log, trial(), hanging)
    assert log.closed == []


@pytest.mark.parametrize("opening", [True, False])
async def test_one_that_is_given_up_is_closed_as_cancelled(opening: bool) -> None:
    log = Log(hangs=opening)
    task = asyncio.create_task(attempted(log, trial(), hanging))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [attempt] = log.closed
    assert attempt.state == "cancelled"
    assert (attempt.usage is not None) == opening  # of one that was never sent it is known that it cost nothing
