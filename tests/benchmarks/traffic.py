"""A month of synthetic traffic, written in bulk: the rows, entries and links that the ledger's writer would have made.

Knows the tables and the chain. Deterministic for a seed and a number of attempts.
"""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.engine import make_url

from gateway.database import Database
from gateway.ledger.chain import NOTHING_BEFORE, forge, link_number
from gateway.ledger.partitions import make_partitions
from gateway.ledger.tables import attempts, closings, entries, line_items, links, requests, settlements, writers
from router.ids import month_of

Row = dict[str, Any]

START = datetime(2026, 10, 20, tzinfo=UTC)
DAYS = 30
REQUESTS_A_LINK = 300
KEYS = tuple(
    (f"org{org}", f"team{org}{team}", f"key{org}{team}{key}")
    for org in range(4)
    for team in range(2)
    for key in range(3)
)
_RATES = {"small": (Decimal("0.15"), Decimal("0.6")), "large": (Decimal("2.5"), Decimal(10))}
_PROVIDERS = {"small": "openai", "large": "anthropic"}
_FEATURES = ("search", "chat", "mail")
_TAGS = {(team, f): f'{{"team":"{team}","feature":"{f}"}}' for _, team, _ in KEYS for f in _FEATURES}
TABLES = (requests, attempts, settlements, line_items, closings, entries)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one commit wrote: rows by table, and its link."""

    rows: Sequence[tuple[Table, list[Row]]]
    link: Row


def batches(most_attempts: int, *, days: int = DAYS, seed: int = 7, start: datetime = START) -> Iterator[Batch]:
    """Commits of one writer, in order of time, with at least so many attempts altogether."""
    a_link = min(REQUESTS_A_LINK, most_attempts // 20)
    rng = random.Random(seed)
    start_us, span_us = int(start.timestamp() * 1_000_000), days * 86_400_000_000
    every_us = span_us * 128 // (most_attempts * 100)  # there are about 1.33 attempts a request
    made = position = 0
    before, now_us = NOTHING_BEFORE, start_us
    while made < most_attempts:
        rows: dict[str, list[Row]] = {table.name: [] for table in TABLES}
        for _ in range(a_link):
            now_us = min(now_us + rng.randrange(2 * every_us), start_us + span_us - 60_000_000)
            made += _request(rng, rows, now_us)
        position += 1
        listed = [(table, rows[table.name]) for table in TABLES]
        link = forge(link_number(1, position), before, listed)
        before = link.hash
        for _, of_table in listed:
            for row in of_table:
                row["link"] = link.number
        told = {
            "link": link.number, "month": _month(now_us), "committed_us": now_us, "rows": link.rows,
            "previous": link.previous, "hash": link.hash, "manifest": link.manifest,
        }  # fmt: skip
        yield Batch(listed, told)


async def load(database: Database, most_attempts: int, *, days: int = DAYS, start: datetime = START) -> int:
    """Fill a database of the newest schema; returns how many attempts were written."""
    now = int(start.timestamp() * 1_000_000)
    writer = {
        "writer_id": "wr_month", "number": 1, "started_us": now, "seen_us": now, "stopped_us": now, "place": "p",
        "process": "1", "swept_us": now + 1,
    }  # fmt: skip
    await make_partitions(database, [202610, 202611])
    async with database.write() as connection:
        await connection.execute(insert(writers), writer)
    return (
        _load_sqlite(database, batches(most_attempts, days=days, start=start))
        if database.is_sqlite
        else await _load_postgres(database, batches(most_attempts, days=days, start=start))
    )


def _load_sqlite(database: Database, month: Iterator[Batch]) -> int:
    connection = sqlite3.connect(str(database._url.database), isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-262144")
    count = 0
    for n, batch in enumerate(month):
        if n % 20 == 0:
            connection.execute("COMMIT" if n else "SELECT 1")
            connection.execute("BEGIN")
        for table, rows in [*batch.rows, (links, [batch.link])]:
            if rows:
                columns = list(rows[0])
                marks = ", ".join("?" * len(columns))
                connection.executemany(
                    f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})",
                    [[str(v) if isinstance(v, Decimal) else v for v in row.values()] for row in rows],
                )
        count += len(batch.rows[1][1])
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("ANALYZE")
    connection.close()
    return count


async def _load_postgres(database: Database, month: Iterator[Batch]) -> int:
    import asyncpg  # type: ignore[import-untyped] # it has no types

    url = make_url(database._url).set(drivername="postgresql")
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    await connection.execute("SET session_replication_role = replica")  # references hold by construction
    await connection.execute("SET synchronous_commit = off")
    count = 0
    for batch in month:
        async with connection.transaction():
            for table, rows in [*batch.rows, (links, [batch.link])]:
                if rows:
                    records = [tuple(row.values()) for row in rows]
                    await connection.copy_records_to_table(table.name, records=records, columns=list(rows[0]))
        count += len(batch.rows[1][1])
    for table in (*TABLES, links):
        await connection.execute(f"ANALYZE {table.name}")
    await connection.close()
    return count


def _request(rng: random.Random, rows: dict[str, list[Row]], now_us: int) -> int:
    """One request: small answers, or large after it; some are shadowed, some fail, some come from the cache."""
    tenant, team, key = KEYS[min(int(rng.expovariate(0.15)), len(KEYS) - 1)]
    decision, month = _id(rng, "dec", now_us)
    place = {"tenant_id": tenant, "team_id": team, "key_id": key, "policy": "default"}
    rows["requests"].append(
        {
            "decision_id": decision, "month": month, "created_us": now_us, "writer_id": "wr_month", **place,
            "requested_model": "auto", "endpoint": "/v1/chat/completions", "streamed": rng.random() < 0.5,
            "strategy_id": "st_1", "scorer_version": "sc_1", "reference_model": "large",
            "tags": _TAGS[team, _FEATURES[int(rng.random() * 3)]],
        }
    )  # fmt: skip
    chance = rng.random()
    tokens = int(rng.lognormvariate(6.5, 0.8)) + 1, int(rng.lognormvariate(5.3, 0.7)) + 1
    plan: list[tuple[str, str, str]]
    if chance < 0.05:
        plan = []
    elif chance < 0.70:
        plan = [("small", "accepted", "answer")]
    elif chance < 0.98:
        plan = [("small", "rejected", "answer"), ("large", "accepted", "answer")]
    else:
        plan = [("large", "failed", "answer")]
    if 0.05 <= chance < 0.15:
        plan.append(("large", "accepted", "shadow"))
    answered, observed = None, None
    for stage, (model, state, kind) in enumerate(plan):
        attempt = {"decision_id": decision, "kind": kind, "stage": stage, "model": model, **place}
        amount = _attempt(rng, rows, now_us + 1000 + stage * 2_000_000, attempt, state, tokens)
        if kind == "answer" and state == "accepted":
            answered = model
            observed = amount if model == "large" else None
    _close(rows, decision, month, now_us, answered, observed, tokens, cached=chance < 0.05)
    return len(plan)


def _attempt(
    rng: random.Random, rows: dict[str, list[Row]], opened_us: int, row: Row, state: str, tokens: tuple[int, int]
) -> int:
    attempt, month = _id(rng, "att", opened_us)
    model, provider = row["model"], _PROVIDERS[row["model"]]
    amount = 0
    if state != "failed":
        for meter, quantity, rate in zip(("input", "output"), tokens, _RATES[model], strict=True):
            line = int(quantity * rate * 1000)
            amount += line
            rows["line_items"].append(
                {
                    "attempt_id": attempt, "month": month, "meter": meter, "seq": 0, "quantity": quantity,
                    "rate_usd": rate, "price_version": f"pr_{model}", "source": "provider", "amount_nanousd": line,
                }
            )  # fmt: skip
    reserved = 2 * amount + 1_000_000
    settled_us = opened_us + int(rng.expovariate(1) * 1_000_000)
    rows["attempts"].append(
        {
            "attempt_id": attempt, "month": month, "writer_id": "wr_month", **row, "provider": provider,
            "opened_us": opened_us, "reserved_nanousd": reserved, "price_version": f"pr_{model}", "spooled": False,
            "cause": "first",
        }
    )  # fmt: skip
    failed = state == "failed"
    rows["settlements"].append(
        {
            "attempt_id": attempt, "month": month, "settled_us": settled_us, "state": state,
            "prompt_tokens": None if failed else tokens[0], "cached_prompt_tokens": None if failed else 0,
            "cache_write_tokens": None if failed else 0, "reasoning_tokens": None if failed else 0,
            "completion_tokens": None if failed else tokens[1], "usage_source": None if failed else "provider",
            "amount_nanousd": amount, "latency_s": (settled_us - opened_us) / 1e6,
            "error_kind": "BackendTimeout" if failed else None,
        }
    )  # fmt: skip
    payer = "tenant" if row["kind"] == "answer" else "overhead"
    for event, moment, debit, credit, value in (
        ("reserve", opened_us, payer, "reserved", reserved),
        ("release", settled_us, "reserved", payer, reserved),
        ("charge", settled_us, payer, "provider", amount),
    ):
        if value:
            rows["entries"].append(
                {
                    "subject_id": attempt, "month": month, "event": event, "seq": 0, "posted_us": moment,
                    "debit": debit,
                    "credit": credit, "amount_nanousd": value, "tenant_id": row["tenant_id"], "provider": provider,
                }
            )  # fmt: skip
    return amount


def _close(
    rows: dict[str, list[Row]], decision: str, month: int, now_us: int, answered: str | None, observed: int | None,
    tokens: tuple[int, int], *, cached: bool,
) -> None:  # fmt: skip
    modelled = sum(int(count * rate * 1000) for count, rate in zip(tokens, _RATES["large"], strict=True))
    status = "cached" if cached else "failed" if answered is None else "answered"
    reference = None if status == "failed" else modelled if observed is None else observed
    rows["closings"].append(
        {
            "decision_id": decision, "month": month, "closed_us": now_us + 3_000_000, "status": status,
            "stop_reason": "accepted", "answered_model": "small" if cached else answered,
            "cache_status": "HIT" if cached else "MISS", "saved_nanousd": 100_000 if cached else None,
            "reference_nanousd": reference,
            "reference_source": None if reference is None else "modelled" if observed is None else "observed",
        }
    )  # fmt: skip


def _id(rng: random.Random, prefix: str, moment_us: int) -> tuple[str, int]:
    bits = rng.getrandbits(72)
    made = f"{prefix}_{moment_us // 1000:012x}7{bits >> 60:03x}8{bits & (1 << 60) - 1:015x}"
    return made, month_of(made)


def _month(moment_us: int) -> int:
    moment = datetime.fromtimestamp(moment_us / 1_000_000, UTC)
    return moment.year * 100 + moment.month
