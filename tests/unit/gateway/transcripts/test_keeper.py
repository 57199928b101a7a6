"""Transcripts hold nobody up: they wait for the database, within a bound, and go when they have had their time."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from gateway.database import Database, DatabaseUnavailable
from gateway.transcripts import keeper as keeping
from gateway.transcripts.keeper import TranscriptKeeper, TranscriptRules
from gateway.transcripts.store import QUESTION, Text, TranscriptStore, transcripts
from router.backends.backend import Reply
from router.outcome import Attempt
from router.trial import Opening, Trial
from scorer.answer import Answer, Query

DAY_US = 86_400_000_000
RULES = TranscriptRules(share=1.0, days=30, most_bytes=10_000)


def query(name: str = "dec_1", text: str = "why?") -> Query:
    return Query(id=name, messages=({"role": "user", "content": text},))


def attempt(name: str = "att_1", text: str | None = "because") -> Attempt:
    trial = Trial(opening=Opening(attempt_id=name, stage=0, model="m"), threshold=None)
    if text is not None:
        trial.replied(Reply(body={}, answer=Answer(model="m", text=text), usage=None, latency_s=0.1))
    return trial.closed()


async def until_kept(keeper: TranscriptKeeper, rows: int) -> None:
    while keeper.kept < rows:  # noqa: ASYNC110 - another task's work
        await asyncio.sleep(0.01)


async def test_an_answer_brings_its_question_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_LINGER_S", 0.01)
    keeper = TranscriptKeeper(database, lambda: RULES)
    async with keeper.running():
        transcript = keeper.of(query())
        assert transcript is not None
        transcript.answered(attempt("att_0", None))  # it failed: there is nothing to keep
        transcript.answered(attempt("att_1"))
        transcript.answered(attempt("att_2"))
        await until_kept(keeper, 3)
    found = await TranscriptStore(database).of("dec_1")
    assert set(found) == {QUESTION, "att_1", "att_2"}


async def test_what_cannot_be_written_as_json_is_left_out(database: Database) -> None:
    keeper = TranscriptKeeper(database, lambda: RULES)
    async with keeper.running():
        transcript = keeper.of(query(text="\ud800"))
        assert transcript is not None
        transcript.answered(attempt())
    assert await TranscriptStore(database).of("dec_1") == {}


async def test_a_share_of_requests_is_kept(database: Database) -> None:
    keeper = TranscriptKeeper(database, lambda: TranscriptRules(share=0.2, days=30, most_bytes=1000))
    drawn = sum(keeper.of(query(f"dec_{n}")) is not None for n in range(2000))
    assert drawn / 2000 == pytest.approx(0.2, abs=0.04)


async def test_what_the_database_cannot_take_waits_within_a_bound(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_LINGER_S", 0.01)
    monkeypatch.setattr(keeping, "_MOST_WAITING_BYTES", 1000)
    keeper, away = TranscriptKeeper(database, lambda: RULES), True
    write = keeper._store.keep

    async def keep(rows: Sequence[dict[str, Any]]) -> None:
        if away:
            raise DatabaseUnavailable("away")
        await write(rows)

    monkeypatch.setattr(keeper._store, "keep", keep)
    async with keeper.running():
        for n in range(10):
            long = b'"%s"' % (b"x" * 198)
            keeper.put(Text(decision_id=f"dec_{n}", attempt_id="", created_us=1 << 60, content=long))
        await asyncio.sleep(0.1)
        assert (keeper.kept, keeper.lost) == (0, 5)
        away = False
        await until_kept(keeper, 5)
    assert (keeper.kept, keeper.lost) == (5, 5)


async def test_a_stop_writes_what_is_waiting(database: Database) -> None:
    keeper = TranscriptKeeper(database, lambda: RULES)
    async with keeper.running():
        transcript = keeper.of(query())
        assert transcript is not None
        transcript.answered(attempt())
    assert set(await TranscriptStore(database).of("dec_1")) == {QUESTION, "att_1"}


async def test_what_has_had_its_time_goes(database: Database) -> None:
    store, now_us = TranscriptStore(database), time.time_ns() // 1000
    for n, age in enumerate((0, 29, 31, 400)):
        row = Text(decision_id=f"dec_{n}", attempt_id="", created_us=now_us - age * DAY_US, content=b"{}").row()
        await store.keep([row])
    async with TranscriptKeeper(database, lambda: RULES).running():
        while await store.of("dec_3") or await store.of("dec_2"):  # noqa: ASYNC110 - another task's work
            await asyncio.sleep(0.01)
    async with database.read() as connection:
        left = (await connection.execute(select(transcripts.c.decision_id))).scalars().all()
    assert sorted(left) == ["dec_0", "dec_1"]
