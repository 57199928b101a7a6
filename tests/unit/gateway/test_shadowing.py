"""Shadow calls take nobody's place, and nothing that goes wrong with one is anybody's trouble."""

import asyncio
from contextlib import nullcontext
from typing import Any, cast

from gateway.budgets.store import BudgetStore
from gateway.database import Database
from gateway.page import Page
from gateway.shadow import Shadow
from gateway.shadowing import Repeated, Shadowing
from gateway.telemetry.metrics import Telemetry
from router.backends.pool import Pool, PoolRules
from router.outcome import Attempt
from router.trial import Opening


class Log:
    """Takes everything, or refuses it."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal, self.opened, self.closed = refusal, list[Opening](), list[Attempt]()

    async def open(self, opening: Opening) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.opened.append(opening)

    def close(self, attempt: Attempt) -> None:
        self.closed.append(attempt)


class Slow:
    """A backend that does not answer before it is told to."""

    model = "large"

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, _call: Any) -> Any:
        self.asked += 1
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        pass


def repeated(log: Log, pool: Pool) -> Repeated:
    return Repeated(
        policy="default",
        shadow=Shadow(share=1.0, daily_nanousd=10**9),
        request_id="dec_1",
        body={"messages": []},
        model="large",
        place=1,
        timeout_s=5.0,
        page=cast("Page", log),
        pools={"large": pool},
        held=nullcontext(),
    )


def told(telemetry: Telemetry, result: str) -> float:
    value = telemetry.registry.get_sample_value("spillway_shadow_calls_total", {"policy": "default", "result": result})
    return value or 0.0


async def until(telemetry: Telemetry, result: str, count: float) -> None:
    while told(telemetry, result) < count:  # noqa: ASYNC110 - another task's end
        await asyncio.sleep(0.005)


async def test_it_waits_for_no_turn(database: Database) -> None:
    backend, telemetry, log = Slow(), Telemetry(), Log()
    pool = Pool.of(cast("Any", backend), rules=PoolRules(most_at_once=1))
    turn = await pool.turn(timeout_s=None)  # somebody else's call
    shadowing = Shadowing(BudgetStore(database), telemetry)
    shadowing.begin(repeated(log, pool))
    await until(telemetry, "no_room", 1)
    assert (backend.asked, log.opened) == (0, [])
    turn.end()


async def test_no_more_than_so_many_are_under_way(database: Database) -> None:
    backend, telemetry, log = Slow(), Telemetry(), Log()
    pool = Pool.of(cast("Any", backend))
    shadowing = Shadowing(BudgetStore(database), telemetry)
    for _ in range(40):
        shadowing.begin(repeated(log, pool))
    assert told(telemetry, "no_room") == 8
    while backend.asked < 32:  # noqa: ASYNC110 - another task's beginning
        await asyncio.sleep(0.005)
    await shadowing.aclose()
    assert [attempt.state for attempt in log.closed] == ["cancelled"] * 32
    assert told(telemetry, "cancelled") == 32
    shadowing.begin(repeated(log, pool))
    assert told(telemetry, "no_room") == 9


async def test_a_bug_is_counted_and_goes_no_further(database: Database) -> None:
    telemetry = Telemetry()
    shadowing = Shadowing(BudgetStore(database), telemetry)
    shadowing.begin(repeated(Log(ZeroDivisionError("a bug")), Pool.of(cast("Any", Slow()))))
    await until(telemetry, "failed", 1)
    await shadowing.aclose()
