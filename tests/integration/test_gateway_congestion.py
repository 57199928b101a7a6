"""A plan turns to another model while an engine is busy; the ledger bills what it always billed."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from router.plan import FEATURES, Plan
from router.strategy import Strategy
from scorer.answer import Answer, Expectation, Query
from tests.experts import expert
from tests.gateway_server import NumberScorer, Running, serving
from tests.probed import known, pool
from tests.upstream import BadUpstream

POLICY = "policies: [{name: default, safe_model: large, strategy: plan.json, scorer: scorer}]\n"
WATCHED = ", probe: true, load: {every_s: 0.25, places: 8, most_congestion: 10}"


class Believing(NumberScorer):
    """Believes in small a little less than in large; small is cheaper."""

    def expect(self, query: Query) -> Mapping[str, Expectation]:
        return {m: Expectation(p_good=p, completion_tokens=100.0) for m, p in (("small", 0.8), ("large", 0.9))}

    def believe(self, query: Query, answers: Sequence[Answer]) -> Mapping[str, float]:
        return {"small": 0.8, "large": 0.9}


def the_plan(folder: Path) -> Strategy:
    """Asks one model: small costs 0.0001 USD, 0.01 of quality, large three times that."""
    likes_best = tuple(float(name == "best") for name in FEATURES)
    plan = Plan(
        models=("small", "large"),
        reference="large",
        exchange=100.0,
        rates=((0.0, 1.0), (0.0, 12.0)),
        depth=1,
        spread=(0.0, 0.0),
        values={(): {(0,): likes_best, (1,): likes_best}},
    )
    strategy = Strategy.planned(plan, safe_model="large", scorer_version="stub")
    strategy.dump(folder / "plan.json")
    return strategy


async def asked(gateway: Running, model: str) -> dict[str, Any]:
    """The decision of the first request that this model answers."""
    async with asyncio.timeout(20):
        while True:
            answered = await gateway.chat("auto", max_tokens=8)
            if answered.headers["x-spillway-model"] == model:
                await gateway.closed(answered.headers["x-request-id"])
                return await gateway.decision(answered)
            await asyncio.sleep(0.05)


async def test_load_moves_a_plan_and_no_bill(tmp_path: Path) -> None:
    running = {"small": 0}
    the_plan(tmp_path)
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(expert(load=lambda: (running["small"], 0)))
        large.will(expert())
        models = "models:\n" + pool("small", small.base_url, WATCHED) + pool("large", large.base_url)
        async with serving(tmp_path, models, POLICY, load_scorer=lambda _folder: Believing()) as gateway:
            await known(gateway, "small", set())
            idle = await asked(gateway, "small")
            assert "congestion" not in idle["steps"][0]
            running["small"] = 4
            while (busier := await asked(gateway, "small"))["steps"][0].get("congestion") != {"small": 2, "large": 1}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert busier["cost_usd"] == idle["cost_usd"]  # weighed double, billed alike
            assert busier["steps"][0]["expected_cost_usd"] == idle["steps"][0]["expected_cost_usd"]
            running["small"] = 7
            busiest = {"small": 8, "large": 1}
            while (moved := await asked(gateway, "large"))["steps"][0]["congestion"] != busiest:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert moved["steps"][0]["beliefs"] == idle["steps"][0]["beliefs"]
            assert moved["attempts"][0]["cost_usd"] == idle["attempts"][0]["cost_usd"]  # equal prices, equal counts
            running["small"] = 0
            assert (await asked(gateway, "small"))["cost_usd"] == idle["cost_usd"]
