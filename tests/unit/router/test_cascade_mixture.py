"""A tier that is a mixture, on its way through a cascade, where something about it goes wrong."""

import pytest

from router.backends.backend import Call
from router.backends.pool import Pool
from router.cascade import Cascade
from router.errors import BackendTimeout
from router.mixture import Mixture
from router.outcome import Outcome
from router.verifiers.gate import Gate, Guard
from router.verifiers.verifier import Consult, Finding
from scorer.answer import Answer, Query
from tests.unit.router.cascades import ONCE, QUERY, Log, Model, failing, strategy

PANEL = Mixture(name="panel", models=("small", "small"), aggregator="large", least=2)


class Refusing:
    """A verifier that fails every answer."""

    async def verify(self, query: Query, answer: Answer, consult: Consult) -> Finding:
        return Finding(said="fail", reason="no")


async def through(
    *models: Model, gate: Gate | None = None, fallbacks: tuple[str, ...] = (), timeout_s: float | None = None
) -> tuple[Outcome, Log]:
    """The panel alone."""
    log = Log()
    cascade = Cascade({model.model: Pool.of(model, rules=ONCE) for model in models}, mixtures={"panel": PANEL})
    call = Call(request_id="dec_1", body={"messages": list(QUERY.messages)}, timeout_s=timeout_s)
    running = cascade.run(QUERY, call, strategy(("panel", None)), None, log, live=False, fallbacks=fallbacks, gate=gate)
    (outcome,) = [each async for each in running]
    assert isinstance(outcome, Outcome)
    return outcome, log


@pytest.mark.parametrize("refuses", [True, False])
async def test_a_proposal_that_no_verifier_saw_is_no_answer(refuses: bool) -> None:
    gate = Gate([Guard(name="no", kind="regex", verifier=Refusing())], refuses=refuses)
    outcome, log = await through(Model("small"), failing("panel"), gate=gate)
    assert (outcome.answered, outcome.stop_reason) == (None, "failed")
    assert log.states == [("small", "accepted"), ("small", "accepted"), ("panel", "failed")]
    plain, _ = await through(Model("small"), failing("panel"))
    assert plain.answered in plain.proposals


async def test_a_bug_in_a_proposers_backend_costs_no_answer() -> None:
    odd = Model("small", error=KeyError("choices"))
    outcome, _ = await through(odd, Model("panel"), Model("other"), fallbacks=("other",))
    assert outcome.answered is not None
    assert (outcome.answered.model, outcome.stop_reason) == ("other", "fallback")


async def test_past_the_deadline_neither_proposers_nor_fallbacks_are_called() -> None:
    models = Model("small"), Model("panel"), Model("other")
    outcome, log = await through(*models, fallbacks=("other",), timeout_s=0.0)
    assert isinstance(outcome.error, BackendTimeout)
    assert not any(model.calls for model in models)
    assert log.opened == []
