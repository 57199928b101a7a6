"""Where no score could be trusted the safe model answers, nothing cheap is called first, and it is told why."""

from typing import Any

import pytest

from scorer.errors import ScorerError, UnknownModel
from scorer.familiarity import Doubt
from tests.unit.router.cascades import Model, Scores, run, strategy

DOUBT = Doubt(reason="unlike_text", detail="odd")
PLAN = strategy(("small", 0.5), ("large", None))
GOOD: dict[str, float | Exception] = {"small": 0.9}


def models() -> list[Model]:
    return [Model("small"), Model("large")]


@pytest.mark.parametrize("live", [False, True])
async def test_a_doubted_query_goes_straight_to_the_safe_model(live: bool) -> None:
    called = models()
    ran = await run(called, PLAN, Scores(GOOD, doubts=DOUBT), live=live)
    assert ran.answered == "large"
    assert ran.outcome.stop_reason == "scorer_abstained"
    assert ran.outcome.abstention == "unlike_text"
    assert not called[0].calls
    assert ran.outcome.answered is not None
    assert ran.outcome.answered.score is None


async def test_with_the_rate_at_zero_nothing_is_doubted() -> None:
    ran = await run(models(), PLAN, Scores(GOOD, doubts=DOUBT), unlike_rate=0)
    assert ran.answered == "small"
    assert ran.outcome.abstention is None


@pytest.mark.parametrize(
    ("scorer", "body", "reason"),
    [
        (None, {}, "no_scorer"),
        (Scores(GOOD), {"n": 2}, "several_choices"),
        (Scores({"small": UnknownModel("x")}), {}, "unknown_model"),
        (Scores({"small": ScorerError("x")}), {}, "scorer_failed"),
        (Scores({"small": float("nan")}), {}, "scorer_failed"),
        (Scores({"small": ValueError("a bug")}), {}, "scorer_failed"),
        (Scores(GOOD, doubts=ValueError("a bug")), {}, "scorer_failed"),
    ],
)
async def test_every_abstention_says_why(scorer: Scores | None, body: dict[str, Any], reason: str) -> None:
    ran = await run(models(), PLAN, scorer, **body)
    assert ran.answered == "large"
    assert ran.outcome.stop_reason == "scorer_abstained"
    assert ran.outcome.abstention == reason


async def test_a_single_model_is_never_doubted() -> None:
    ran = await run([Model("large")], strategy(("large", None)), Scores({}, doubts=DOUBT))
    assert ran.outcome.stop_reason == "last_stage"
    assert ran.outcome.abstention is None
