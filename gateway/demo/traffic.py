"""Sends the demo's questions over HTTP, as an app would, and notes what came back.

Knows the client's side of the protocol and Spillway's headers. Knows no process, no scorer and no table.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp

from gateway.demo.errors import TrafficFailed
from gateway.demo.tasks import Task, check

_AT_ONCE = 16
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question and what came back for it.

    cost_usd : as the gateway says; None where it says none.
    tier : 1-based, of the answer returned. cache : HIT, MISS or DISABLED.
    """

    task: Task
    body: Mapping[str, Any]
    right: bool
    latency_s: float
    cost_usd: Decimal | None
    tier: int | None
    cache: str | None

    @property
    def text(self) -> str:
        return str(self.body["choices"][0]["message"]["content"] or "")


async def send(
    base_url: str, key: str, model: str, tasks: Sequence[Task], *, done: Callable[[], None] = lambda: None
) -> list[Exchange]:
    """Ask ``model`` all the tasks, several at a time, begun in order; the exchanges come back in the same order.

    done : called after each. Raises TrafficFailed at the first request that is not answered with 200.
    """
    waiting = iter(enumerate(tasks))
    exchanges: dict[int, Exchange] = {}

    async def work(session: aiohttp.ClientSession) -> None:
        for index, task in waiting:
            exchanges[index] = await _ask(session, f"{base_url}/chat/completions", model, task)
            done()

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    headers = {"authorization": f"Bearer {key}"}
    connector = aiohttp.TCPConnector(limit=_AT_ONCE)
    async with aiohttp.ClientSession(timeout=timeout, headers=headers, connector=connector) as session:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(work(session))
        except* TrafficFailed as failures:
            raise _first(failures) from None
    return [exchanges[index] for index in range(len(tasks))]


def messages(task: Task) -> tuple[Mapping[str, Any], ...]:
    """The prompt in which a task is asked."""
    return ({"role": "user", "content": task.question},)


def asks_logprobs(task: Task) -> bool:
    """Whether the client of this task asks for log-probabilities: about every other one does.

    So the scorer learns to judge with and without them, and a client that does not know of them is judged well too.
    """
    return len(task.question) % 2 == 0


async def _ask(session: aiohttp.ClientSession, url: str, model: str, task: Task) -> Exchange:
    body = {"model": model, "messages": list(messages(task)), "temperature": 0, "logprobs": asks_logprobs(task)}
    started = time.monotonic()
    try:
        async with session.post(url, json=body) as response:
            if response.status != 200:
                raise TrafficFailed(f"{model} answered {response.status}: {(await response.text())[:500]}")
            answer = await response.json()
            headers = response.headers
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TrafficFailed(f"{model} at {url} did not answer: {error or type(error).__name__}") from error
    tier, cost = headers.get("x-spillway-tier"), headers.get("x-spillway-cost-usd")
    return Exchange(
        task=task,
        body=answer,
        right=check(task.truth, str(answer["choices"][0]["message"]["content"] or "")),
        latency_s=time.monotonic() - started,
        cost_usd=None if cost is None else Decimal(cost),
        tier=None if tier is None else int(tier),
        cache=headers.get("x-spillway-cache"),
    )


def _first(failures: BaseExceptionGroup[TrafficFailed]) -> TrafficFailed:
    failure = failures.exceptions[0]
    return failure if isinstance(failure, TrafficFailed) else _first(failure)
