"""What people said of answers: one label of each reviewer for a decision, and the answers to be asked about next.

Knows its table and who may be asked about what. Knows no page.
"""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, String, Table, Text, and_, delete, insert, select

from gateway.database import Database, metadata
from gateway.ledger.newest import Seen
from gateway.ledger.reports import Span
from gateway.ledger.rollups.statements import told_as
from gateway.ledger.tables import attempts, closings, requests, settlements

_ID = String(64)
MOST_READ = 5000  # labels

reviews = Table(
    "reviews",
    metadata,
    Column("decision_id", _ID, primary_key=True),
    Column("reviewer", _ID, primary_key=True, comment="the key that was signed in with, or operator"),
    Column("tenant_id", _ID, nullable=False, comment="of the decision"),
    Column("label", Double, nullable=False, comment="from 0, useless, to 1, good"),
    Column("note", Text, nullable=False),
    Column("reviewed_us", BigInteger, nullable=False),
    Index(None, "tenant_id", "decision_id"),
    comment="What people said of answers",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A decision and what was said of its answer, reviewers together. score : of the answer, if it has one."""

    decision_id: str
    policy: str | None
    model: str
    stage: int
    score: float | None
    label: float
    reviewers: int


class Reviews:
    """In one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, decision_id: str, tenant_id: str, reviewer: str, label: float, note: str = "") -> None:
        """In place of what the same reviewer said of it before."""
        mine = and_(reviews.c.decision_id == decision_id, reviews.c.reviewer == reviewer)
        row = {
            "decision_id": decision_id, "reviewer": reviewer, "tenant_id": tenant_id, "label": label, "note": note,
            "reviewed_us": time.time_ns() // 1000,
        }  # fmt: skip
        async with self._database.write() as connection:
            await connection.execute(delete(reviews).where(mine))
            await connection.execute(insert(reviews), row)

    async def labelled(self, span: Span, told: list[str] | None = None) -> tuple[Labelled, ...]:
        """Of the requests that are meant, newest first, as many as ``MOST_READ`` labels tell of."""
        query = (
            select(
                reviews.c.decision_id,
                requests.c.policy,
                attempts.c.model,
                attempts.c.stage,
                settlements.c.score,
                reviews.c.label,
            )
            .select_from(reviews)
            .join(requests, requests.c.decision_id == reviews.c.decision_id)
            .join(closings, closings.c.decision_id == reviews.c.decision_id)
            .join(attempts, attempts.c.attempt_id == closings.c.answered_attempt)
            .join(settlements, settlements.c.attempt_id == attempts.c.attempt_id)
            .order_by(reviews.c.decision_id.desc())
            .limit(MOST_READ)
        )
        if span.tenant_id is not None:
            query = query.where(reviews.c.tenant_id == span.tenant_id)
        for name in ("team_id", "key_id", "policy"):
            if getattr(span, name) is not None:
                query = query.where(requests.c[name] == getattr(span, name))
        if span.model is not None:
            query = query.where(attempts.c.model == span.model)
        created_us = requests.c.created_us + 0  # no index: SQLite would begin with a month's requests
        if span.since_us is not None:
            query = query.where(created_us >= span.since_us)
        if span.until_us is not None:
            query = query.where(created_us < span.until_us)
        async with self._database.read() as connection:
            told_as(told, connection, query)
            rows = (await connection.execute(query)).all()
        found: dict[str, list[Any]] = {}
        for row in rows:
            found.setdefault(row.decision_id, []).append(row)
        return tuple(_labelled(listed) for listed in found.values())

    async def said(self, decision_id: str, reviewer: str) -> float | None:
        """The reviewer's label of a decision."""
        query = select(reviews.c.label).where(reviews.c.decision_id == decision_id, reviews.c.reviewer == reviewer)
        async with self._database.read() as connection:
            label: float | None = (await connection.execute(query)).scalar_one_or_none()
        return label

    async def by(self, reviewer: str, decision_ids: Iterable[str]) -> frozenset[str]:
        """Those of the decisions that the reviewer has said something of."""
        listed = list(decision_ids)
        query = select(reviews.c.decision_id).where(reviews.c.reviewer == reviewer)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.where(reviews.c.decision_id.in_(listed[:900])))).scalars()
            return frozenset(rows)


def queue(newest: Iterable[Seen], most: int) -> tuple[Seen, ...]:
    """Those to ask about next: drawn by chance from the newest, the same for every reviewer.

    By chance, so that what is said of them holds for all: neither the newest nor the doubtful are preferred.
    """
    answered = [one for one in newest if one.status == "answered" and one.policy is not None and one.answered_attempt]
    return tuple(sorted(answered, key=lambda one: hashlib.sha256(one.decision_id.encode()).digest())[:most])


def _labelled(rows: list[Any]) -> Labelled:
    first = rows[0]
    return Labelled(
        decision_id=first.decision_id,
        policy=first.policy,
        model=first.model,
        stage=first.stage,
        score=first.score,
        label=sum(row.label for row in rows) / len(rows),
        reviewers=len(rows),
    )
