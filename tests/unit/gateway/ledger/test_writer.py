"""The writer: nothing is called before it is on disk, nothing queued is lost, one bad row holds up nobody."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.database import Database, DatabaseUnavailable
from gateway.ledger.entry import LedgerUnavailable, RequestClosing
from gateway.ledger.group import Group
from gateway.ledger.store import Refusals
from gateway.ledger.tables import attempts, closings, line_items, requests, settlements, writers
from gateway.ledger.writer import LedgerWriter
from scorer.answer import Usage
from tests.databases import rows_of
from tests.ledgers import BODY, PRICES, QUICK, a_ledger, a_record, an_attempt, an_opening, run_request

TOLD = Usage(prompt_tokens=1000, completion_tokens=100)
Write = Callable[..., Awaitable[Refusals]]


def intercept(ledger: LedgerWriter, monkeypatch: pytest.MonkeyPatch, wrap: Callable[[Write], Write]) -> None:
    """Put something between the writer and its store."""
    monkeypatch.setattr(ledger._store, "write", wrap(ledger._store.write))
    if isinstance(wrap, Outage):
        monkeypatch.setattr(ledger._store, "landed", wrap.asked(ledger._store.landed))


class Outage:
    """A database that is away until it is back; with ``commits``, what it cannot confirm is committed all the same."""

    def __init__(self, *, commits: bool = False) -> None:
        self.away, self.commits = True, commits
        self._tries, self._tried = 0, asyncio.Event()

    async def tried(self) -> None:
        """Return once three commits more were tried in vain."""
        self._tries = 0
        self._tried.clear()
        await self._tried.wait()

    def __call__(self, write: Write) -> Write:
        async def guarded(group: Group, *, again: bool) -> Refusals:
            refusals: Refusals = {}
            if self.commits or not self.away:
                refusals = await write(group, again=again)
            self._fail()
            return refusals

        return guarded

    def asked(self, landed: Callable[[Group], Awaitable[Refusals | None]]) -> Callable[..., Awaitable[Refusals | None]]:
        """The same for the question whether a commit happened."""

        async def guarded(group: Group) -> Refusals | None:
            self._fail()
            return await landed(group)

        return guarded

    def _fail(self) -> None:
        if self.away:
            self._tries += 1
            if self._tries == 3:
                self._tried.set()
            raise DatabaseUnavailable("database is locked")


async def test_an_attempt_is_on_disk_before_it_may_be_made(database: Database) -> None:
    async with a_ledger(database) as ledger:
        record, attempt = a_record(), an_attempt(usage=TOLD)
        await ledger.open_request(record)
        await ledger.log_for(record, BODY).open(an_opening(attempt))
        assert [row["decision_id"] for row in await rows_of(database, requests)] == [record.decision_id]
        (row,) = await rows_of(database, attempts)
        assert (row["attempt_id"], row["kind"], row["price_version"]) == (
            attempt.id,
            "answer",
            PRICES.price("small").version,  # type: ignore[union-attr]  # it is in the list above
        )
        assert row["reserved_nanousd"] > 0
        assert await rows_of(database, settlements) == []


async def test_a_settled_attempt_has_its_lines_and_a_request_its_end(database: Database) -> None:
    async with a_ledger(database) as ledger:
        await run_request(ledger, an_attempt(usage=TOLD))
        await ledger.flush()
        (settlement,) = await rows_of(database, settlements)
        assert (settlement["state"], settlement["amount_nanousd"], settlement["usage_source"]) == (
            "accepted",
            210_000,
            "provider",
        )
        lines = await rows_of(database, line_items)
        assert [(line["meter"], line["amount_nanousd"]) for line in lines] == [("input", 150_000), ("output", 60_000)]
        (closing,) = await rows_of(database, closings)
        assert (closing["status"], closing["reference_nanousd"]) == ("answered", 3_500_000)
        assert ledger.unsettled == 0


async def test_many_openings_share_few_commits(database: Database) -> None:
    async with a_ledger(database) as ledger:
        await asyncio.gather(*(run_request(ledger, an_attempt(usage=TOLD)) for _ in range(300)))
        await ledger.flush()
        assert len(await rows_of(database, settlements)) == 300
        assert ledger.counts.commits < 30


async def test_a_stop_writes_everything_first(database: Database) -> None:
    async with a_ledger(database, limits=replace(QUICK, linger_s=3600.0)) as ledger:
        await run_request(ledger, an_attempt(usage=TOLD))
        await ledger.open_request(a_record())
    assert len(await rows_of(database, settlements)) == len(await rows_of(database, closings)) == 1
    assert len(await rows_of(database, requests)) == 2
    (writer,) = await rows_of(database, writers)
    assert writer["stopped_us"] is not None


async def test_nothing_is_taken_in_before_the_start_and_after_the_stop(database: Database) -> None:
    ledger = LedgerWriter(database, PRICES)
    with pytest.raises(LedgerUnavailable):
        await ledger.open_request(a_record())
    async with a_ledger(database) as ledger:
        record = a_record()
        await ledger.open_request(record)
        log = ledger.log_for(record, BODY)
        attempt = an_attempt(usage=TOLD)
        await log.open(an_opening(attempt))
    with pytest.raises(LedgerUnavailable):
        await ledger.open_request(a_record())
    with pytest.raises(LedgerUnavailable):
        await log.open(an_opening(an_attempt()))
    log.close(attempt)  # too late, and said so; the next start settles it
    assert ledger.counts.left_behind == 1


async def test_a_short_outage_is_sat_out(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_ledger(database) as ledger:
        outage = Outage()
        intercept(ledger, monkeypatch, outage)
        under_way = [asyncio.create_task(run_request(ledger, an_attempt(usage=TOLD))) for _ in range(20)]
        await outage.tried()
        outage.away = False
        await asyncio.gather(*under_way)
        await ledger.flush()
        assert ledger.counts.retries >= 3
    assert len(await rows_of(database, settlements)) == 20


async def test_an_outage_is_told_while_it_lasts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_ledger(database, limits=replace(QUICK, hiccup_s=0.0)) as ledger:
        told = [ledger.trouble]
        outage = Outage()
        intercept(ledger, monkeypatch, outage)
        under_way = asyncio.create_task(run_request(ledger, an_attempt(usage=TOLD)))
        await outage.tried()
        told.append(ledger.trouble)
        outage.away = False
        await under_way
        await ledger.flush()
        told.append(ledger.trouble)
    assert told == [None, "the ledger cannot be written", None]


@pytest.mark.parametrize("confirmations", [0, 1])
async def test_a_commit_that_was_not_confirmed_is_not_made_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch, confirmations: int
) -> None:
    async with a_ledger(database) as ledger:
        if confirmations:
            await run_request(ledger, an_attempt(usage=TOLD))
        outage = Outage(commits=True)
        intercept(ledger, monkeypatch, outage)
        under_way = asyncio.create_task(run_request(ledger, an_attempt(usage=TOLD)))
        await outage.tried()
        outage.away = False
        await under_way
        outage.away = True
        await outage.tried()  # now the settlement
        outage.away = False
        await ledger.flush()
    found = await rows_of(database, settlements)
    lines = await rows_of(database, line_items)
    assert len(found) == len(await rows_of(database, attempts)) == 1 + confirmations
    assert sum(row["amount_nanousd"] for row in found) == sum(line["amount_nanousd"] for line in lines)


@pytest.mark.parametrize("commits", [False, True])
async def test_a_long_outage_refuses_and_what_was_not_sent_costs_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, commits: bool
) -> None:
    async with a_ledger(database, limits=replace(QUICK, patience_s=0.05)) as ledger:
        outage = Outage(commits=commits)
        intercept(ledger, monkeypatch, outage)
        record, attempt = a_record(), an_attempt()
        await ledger.open_request(record)
        log = ledger.log_for(record, BODY)
        with pytest.raises(LedgerUnavailable):
            await log.open(an_opening(attempt))
        log.close(attempt)
        assert log.spent.nanousd == 0
        outage.away = False
        await ledger.flush()
        assert ledger.counts.refused == 1
    assert [row["attempt_id"] for row in await rows_of(database, attempts)] == [attempt.id] * commits
    assert [(row["amount_nanousd"], row["error_kind"]) for row in await rows_of(database, settlements)] == [
        (0, "never_sent")
    ] * commits


async def test_an_opening_that_is_cancelled_while_it_commits_costs_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_ledger(database) as ledger:
        begun, go_on = asyncio.Event(), asyncio.Event()

        def wrap(write: Write) -> Write:
            async def slow(group: Group, *, again: bool) -> Refusals:
                begun.set()
                await go_on.wait()
                return await write(group, again=again)

            return slow

        intercept(ledger, monkeypatch, wrap)
        under_way = asyncio.create_task(run_request(ledger, an_attempt(usage=TOLD)))
        await begun.wait()
        under_way.cancel()
        await asyncio.wait([under_way])
        go_on.set()
        await ledger.flush()
    (settlement,) = await rows_of(database, settlements)
    assert (settlement["state"], settlement["amount_nanousd"], settlement["error_kind"]) == (
        "cancelled",
        0,
        "never_sent",
    )


async def test_at_the_bound_new_requests_are_refused_and_nothing_is_dropped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_ledger(database, limits=replace(QUICK, most_held=4)) as ledger:
        logs = []
        for _ in range(3):
            record, attempt = a_record(), an_attempt(usage=TOLD)
            await ledger.open_request(record)
            log = ledger.log_for(record, BODY)
            await log.open(an_opening(attempt))
            logs.append((log, attempt))
        await ledger.flush()
        outage = Outage()
        intercept(ledger, monkeypatch, outage)
        for log, attempt in logs:
            log.close(attempt)
            ledger.close_request(log.closing(status="answered", cache_status="MISS", answered=attempt))
        with pytest.raises(LedgerUnavailable) as refusal:
            await ledger.open_request(a_record())
        assert refusal.value.status == 503
        outage.away = False
        await ledger.flush()
        await ledger.open_request(a_record())
    assert len(await rows_of(database, settlements)) == len(await rows_of(database, closings)) == 3


async def test_one_bad_row_holds_up_nobody(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    async with a_ledger(database) as ledger:
        ledger.close_request(RequestClosing(decision_id="dec_unheard_of", status="failed", cache_status="MISS"))
        odd = a_record(tenant_id=None)
        await ledger.open_request(odd)
        refused = asyncio.create_task(ledger.log_for(odd, BODY).open(an_opening(an_attempt())))
        await run_request(ledger, an_attempt(usage=TOLD))
        with pytest.raises(LedgerUnavailable):
            await refused
        await ledger.flush()
        assert ledger.counts.unwritable == 3
        with pytest.raises(LedgerUnavailable):  # nothing more is called for it
            await ledger.log_for(odd, BODY).open(an_opening(an_attempt()))
        await run_request(ledger, an_attempt(usage=TOLD))
    assert "dec_unheard_of cannot be written" in caplog.text
    assert len(await rows_of(database, settlements)) == len(await rows_of(database, closings)) == 2


async def test_a_failure_that_nobody_foresaw_holds_up_nobody_either(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_ledger(database) as ledger:

        def wrap(write: Write) -> Write:
            async def picky(group: Group, *, again: bool) -> Refusals:
                if any(settlement.score == 0.123 for _, settlement in group.settlements):
                    raise ZeroDivisionError
                return await write(group, again=again)

            return picky

        intercept(ledger, monkeypatch, wrap)
        await run_request(ledger, an_attempt(usage=TOLD, score=0.123))
        await run_request(ledger, an_attempt(usage=TOLD))
        await ledger.flush()
        assert ledger.counts.unwritable == 1
    assert len(await rows_of(database, settlements)) == 1


async def test_a_request_ends_once(database: Database) -> None:
    async with a_ledger(database) as ledger:
        record = await run_request(ledger, an_attempt(usage=TOLD))
        await ledger.flush()
        ledger.close_request(RequestClosing(decision_id=record.decision_id, status="failed", cache_status="MISS"))
        await ledger.flush()
        await run_request(ledger, an_attempt(usage=TOLD))
        await ledger.flush()
    assert [row["status"] for row in await rows_of(database, closings)] == ["answered", "answered"]


async def test_any_text_can_be_written(database: Database) -> None:
    nasty = "a\0b\ud800" + "x" * 500
    async with a_ledger(database) as ledger:
        record = a_record(requested_model=nasty, policy=nasty, tags={"t": "\0"})
        await run_request(ledger, an_attempt(usage=TOLD, score=float("nan")), record=record)
        await ledger.flush()
        assert ledger.counts.unwritable == 0
    (row,) = await rows_of(database, requests)
    assert len(row["requested_model"]) == 256
    assert (await rows_of(database, settlements))[0]["score"] is None


async def test_a_stop_does_not_wait_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_ledger(database, limits=replace(QUICK, drain_s=0.05)) as ledger:
        record = a_record()
        await ledger.open_request(record)
        log = ledger.log_for(record, BODY)
        attempt = an_attempt(usage=TOLD)
        await log.open(an_opening(attempt))
        intercept(ledger, monkeypatch, Outage())
        log.close(attempt)
        waiting = asyncio.create_task(log.open(an_opening(an_attempt())))
        await asyncio.sleep(0)
        await ledger.stop()
        with pytest.raises(LedgerUnavailable):
            await waiting
        await ledger.stop()
    assert ledger.counts.left_behind >= 1
    assert "could not be written before the stop" in caplog.text


async def test_a_writer_starts_once(database: Database) -> None:
    async with a_ledger(database) as ledger:
        with pytest.raises(RuntimeError):
            await ledger.start()


async def test_signs_of_life_are_given(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_ledger(database, limits=replace(QUICK, heartbeat_s=0.01)) as ledger:
        (before,) = await rows_of(database, writers)
        renewed, renew = asyncio.Event(), ledger._store.renew

        async def heard(now_us: int, *, settled_until_us: int) -> None:
            await renew(now_us, settled_until_us=settled_until_us)
            renewed.set()

        with monkeypatch.context() as patched:
            patched.setattr(ledger._store, "renew", heard)
            await renewed.wait()
        (after,) = await rows_of(database, writers)
        assert after["seen_us"] > before["seen_us"]
        assert after["stopped_us"] is None
        assert ledger.counts.retries == 0
