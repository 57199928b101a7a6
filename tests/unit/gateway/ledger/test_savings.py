"""What was saved is never flattered: everything spent counts, a loss is a loss, and what cannot be compared is said."""

import random

import pytest

from gateway.database import Database
from gateway.ledger.cli import savings_in_words
from gateway.ledger.reports import Span
from gateway.ledger.savings import Compared, Savings, read_savings
from scorer.answer import Usage
from tests.ledgers import a_ledger, a_record, an_attempt, an_opening, run_request

TOLD = Usage(prompt_tokens=1000, completion_tokens=50)
SMALL, LARGE = 180_000, 3_000_000  # what TOLD costs


async def test_everything_spent_is_subtracted(database: Database) -> None:
    async with a_ledger(database) as ledger:
        await run_request(ledger, an_attempt(usage=TOLD))  # modelled: saves LARGE - SMALL
        await run_request(ledger, an_attempt(usage=TOLD, state="rejected"), an_attempt(model="large", usage=TOLD))
        failed = an_attempt(state="rejected", usage=TOLD)
        record = a_record()
        await ledger.open_request(record)
        log = ledger.log_for(record, {"messages": [], "max_tokens": 5})
        await log.open(an_opening(failed))
        log.close(failed)
        ledger.close_request(log.closing(status="failed", cache_status="MISS"))
        await run_request(ledger, an_attempt(model="dear", usage=TOLD))
        await run_request(ledger, an_attempt(usage=TOLD), record=a_record(reference_model=None, policy=None))
    saved = await read_savings(database, Span())
    assert {name: part.requests for name, part in saved.by_source.items()} == {"modelled": 1, "observed": 1}
    assert saved.by_source["observed"].saved_nanousd == -SMALL
    assert saved.saved_nanousd == (LARGE - SMALL) - SMALL - SMALL
    assert (saved.fruitless, saved.unlike, saved.unknown) == (1, 1, 1)
    assert any("modelled" in line for line in saved.caveats())


def test_a_loss_is_shown_as_one() -> None:
    lost = Savings(compared=Compared(requests=1, spent_nanousd=5_000_000, reference_nanousd=2_000_000))
    assert lost.as_json()["saved_usd"] == "-0.003"
    assert savings_in_words(lost, lost.as_json())[0] == "LOST 0.003 USD"


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = random.Random(3)

    def draw() -> Compared:
        spent = round(rng.lognormvariate(0, 0.6) * 1e6)
        reference = round(spent * rng.choice((0.5, 1, 8)))
        s, r = spent / 1e9, reference / 1e9
        return Compared(
            requests=1, spent_nanousd=spent, reference_nanousd=reference,
            spent_squared=s * s, reference_squared=r * r, spent_by_reference=s * r,
        )  # fmt: skip

    population = [draw() for _ in range(4000)]
    mean = sum(item.saved_nanousd for item in population) / len(population)
    share = sum(i.saved_nanousd for i in population) / sum(i.reference_nanousd for i in population)
    covered = share_covered = 0
    for _ in range(200):
        sample = Savings(compared=sum(rng.choices(population, k=150), Compared()))
        low, high = sample.interval_nanousd or (0, 0)
        covered += low <= mean * 150 <= high
        low_share, high_share = sample.compared.share_interval() or (0.0, 0.0)
        share_covered += low_share <= share <= high_share
    assert covered / 200 == pytest.approx(0.95, abs=0.05)
    assert share_covered / 200 == pytest.approx(0.95, abs=0.05)


def test_how_far_modelled_costs_are_off_is_said_with_an_interval_that_holds() -> None:
    rng = random.Random(5)

    def draw() -> Compared:
        reference = round(rng.lognormvariate(0, 0.6) * 1e6)
        modelled = round(reference * rng.choice((0.4, 0.8, 1.1)))
        r, m = reference / 1e9, modelled / 1e9
        return Compared(
            requests=1, spent_nanousd=reference, reference_nanousd=reference, reference_squared=r * r,
            modelled_nanousd=modelled, modelled_squared=m * m, modelled_by_reference=m * r,
        )  # fmt: skip

    population = [draw() for _ in range(4000)]
    share = sum(i.modelled_nanousd for i in population) / sum(i.reference_nanousd for i in population)

    def in_shadow(*requests: Compared) -> Savings:
        shadow = sum(requests, Compared())
        return Savings(compared=shadow, by_source={"shadow": shadow})

    covered = 0
    for _ in range(200):
        found = in_shadow(*rng.choices(population, k=150)).modelled_over_observed
        assert found is not None
        low, high = found.interval or (0.0, 0.0)
        covered += low <= share <= high
    assert covered / 200 == pytest.approx(0.95, abs=0.05)
    alone = in_shadow(population[0])
    assert alone.modelled_over_observed is not None
    assert alone.modelled_over_observed.interval is None
    assert any(f"come to {alone.modelled_over_observed}" in line for line in alone.caveats())
    assert in_shadow().modelled_over_observed is None
