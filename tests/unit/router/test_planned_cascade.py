"""Plans carried out live: who is asked, whose answer is returned, what is written down, what comes of failures."""

from collections.abc import Mapping, Sequence

import pytest

from router.errors import BackendError
from router.plan import FEATURES, Plan, State
from router.strategy import Strategy
from scorer.answer import Answer, Expectation, Query
from scorer.errors import ScorerError
from tests.unit.router.cascades import Model, Scores, failing, run

MODELS = ("small", "middling", "large")
LIKES_NEXT = tuple(float(name == "best") for name in FEATURES)  # a call is worth the belief in the model asked
MISSING = tuple(float({"one": 1, "seen": -1}.get(name, 0)) for name in FEATURES)  # worth what the best answer lacks


class Beliefs(Scores):
    """Fixed beliefs: by model before it answered, and once it has."""

    def __init__(self, before: Mapping[str, float], after: Mapping[str, float | Exception]) -> None:
        super().__init__({})
        self.before, self.after = before, after

    def expect(self, query: Query) -> Mapping[str, Expectation]:
        return {m: Expectation(p_good=self.before[m], completion_tokens=100.0) for m in MODELS}

    def believe(self, query: Query, answers: Sequence[Answer]) -> Mapping[str, float]:
        beliefs = dict(self.before)
        for answer in answers:
            belief = self.after[answer.model]
            if isinstance(belief, Exception):
                raise belief
            beliefs[answer.model] = belief
        return beliefs


def plan(*, exchange: float = 100.0, floor: float = 0.0, cascades: bool = True) -> Strategy:
    """Rates make a call of 100 tokens cost 0.0001, 0.001 and 0.004 USD: 0.01, 0.1 and 0.4 of quality."""
    weights: Mapping[State, Mapping[State, tuple[float, ...]]] = {
        (): {(0,): LIKES_NEXT, (1,): LIKES_NEXT},
        (0,): {(1,): MISSING, (2,): MISSING},
        (1,): {(2,): MISSING},
        (0, 1): {(2,): MISSING},
    }
    made = Plan(
        models=MODELS,
        reference="large",
        exchange=exchange,
        rates=((0.0, 1.0), (0.0, 10.0), (0.0, 40.0)),
        depth=3 if cascades else 1,
        spread=(0.0, 0.0, 0.0),
        values=weights if cascades else {},
        floor=floor,
    )
    return Strategy.planned(made, safe_model="large", scorer_version="v", created="2026-01-01T00:00:00Z")


BEFORE = {"small": 0.6, "middling": 0.5, "large": 0.9}


@pytest.mark.parametrize(
    ("after", "calls", "answered", "reason"),
    [
        ({"small": 0.95}, ["small"], "small", "accepted"),
        ({"small": 0.2, "middling": 0.7}, ["small", "middling"], "middling", "accepted"),
        ({"small": 0.65, "middling": 0.62}, ["small", "middling"], "small", "best_seen"),
        ({"small": 0.1, "middling": 0.2, "large": 0.8}, ["small", "middling", "large"], "large", "last_stage"),
        ({"small": 0.1, "middling": 0.3, "large": 0.2}, ["small", "middling", "large"], "middling", "best_seen"),
    ],
)
@pytest.mark.parametrize("live", [False, True])
async def test_it_asks_while_that_is_worth_its_price_and_returns_the_best_seen(
    after: dict[str, float | Exception], calls: list[str], answered: str, reason: str, live: bool
) -> None:
    ran = await run([Model(m) for m in MODELS], plan(), Beliefs(BEFORE, after), live=live)
    assert [attempt.model for attempt in ran.log.closed] == calls
    assert ran.answered == answered
    assert ran.outcome.stop_reason == reason
    assert not ran.chunks  # an answer that may not be returned is shown to nobody
    assert [step.chosen for step in ran.outcome.steps] == [*calls, None]
    assert ran.outcome.steps[1].beliefs["small"] == after["small"]
    assert ran.outcome.steps[1].gains.keys() == {"middling", "large"}
    assert ran.outcome.answered is not None
    assert ran.outcome.answered.score == after[answered]


async def test_a_route_asks_one_model_and_lets_the_client_watch() -> None:
    ran = await run([Model(m) for m in MODELS], plan(cascades=False), Beliefs(BEFORE, {}), live=True)
    assert ran.log.states == [("small", "accepted")]
    assert ran.chunks
    dear = await run([Model(m) for m in MODELS], plan(cascades=False, exchange=0.0), Beliefs(BEFORE, {}))
    assert dear.answered == "large"


async def test_under_pressure_it_stops_sooner() -> None:
    whole = plan()
    assert whole.plan is not None
    spending = Strategy.planned(whole.plan.under(5.0), safe_model="large", scorer_version="v")
    ran = await run([Model(m) for m in MODELS], spending, Beliefs(BEFORE, {"small": 0.6}))
    assert ran.log.states == [("small", "accepted")]


async def test_a_floor_keeps_answers_that_are_believed_in_too_little_from_being_returned_unasked() -> None:
    ran = await run([Model(m) for m in MODELS], plan(floor=0.99), Beliefs(BEFORE, {"small": 0.95, "large": 0.9}))
    assert [attempt.model for attempt in ran.log.closed] == ["small", "large"]
    assert ran.answered == "small"


async def test_a_model_that_fails_is_left_out_and_the_plan_goes_on() -> None:
    ran = await run([failing("small"), Model("middling"), Model("large")], plan(), Beliefs(BEFORE, {"middling": 0.95}))
    assert ran.log.states == [("small", "failed"), ("middling", "accepted")]
    last = await run([Model("small"), failing("middling"), failing("large")], plan(), Beliefs(BEFORE, {"small": 0.3}))
    assert last.answered == "small"
    assert last.outcome.stop_reason == "best_seen"
    nobody = await run([failing(m) for m in MODELS], plan(), Beliefs(BEFORE, {}))
    assert nobody.outcome.stop_reason == "failed"
    assert isinstance(nobody.outcome.error, BackendError)


@pytest.mark.parametrize("scorer", [None, Scores({}), Beliefs(BEFORE, {"small": ScorerError("unlike anything")})])
async def test_where_nothing_can_be_believed_the_safe_model_answers(scorer: Scores | None) -> None:
    ran = await run([Model(m) for m in MODELS], plan(), scorer)
    assert ran.answered == "large"
    assert ran.outcome.stop_reason == "scorer_abstained"


async def test_several_choices_cannot_be_judged() -> None:
    ran = await run([Model(m) for m in MODELS], plan(), Beliefs(BEFORE, {}), n=2)
    assert ran.log.states == [("large", "accepted")]
