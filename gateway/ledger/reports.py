"""What was spent: exact sums over the ledger, by whatever it can be told apart by.

Sums are taken of integers by the database, of rollups where there are any. An attempt whose price is unknown is counted
beside the sums and never in them as zero. Knows no page and no command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, FromClause

from gateway.database import Database
from gateway.errors import InvalidRequest
from gateway.ledger.decisions import DecisionReport, explain, is_dropped
from gateway.ledger.entry import usd
from gateway.ledger.rollups.reading import Condition, Key, Sums, coverage
from gateway.ledger.rollups.sources import BY_DAY, DAY_US
from gateway.ledger.rollups.tables import attempt_rollups, request_rollups

Heading = Literal["hour", "day", "model", "provider", "org", "team", "key", "policy", "kind"]
HEADINGS: tuple[Heading, ...] = get_args(Heading)
TAG = "tag:"  # and its name

_EPOCH = date(1970, 1, 1).toordinal()
_COLUMNS: Mapping[str, str] = {
    "org": "tenant_id",
    "team": "team_id",
    "key": "key_id",
    "hour": "hour_us",
    "day": BY_DAY,
}
_OF_ATTEMPTS_ALONE = frozenset({"model", "provider", "kind"})  # a request may call several of them
_ATTEMPT_MEASURES = (
    *("attempts", "estimated", "unpriced", "unmeasured", "prompt_tokens", "completion_tokens"),
    *("spent_nanousd", "estimated_nanousd", "reserved_nanousd", "corrected_nanousd"),
)
_REQUEST_MEASURES = ("requests", "saved_nanousd")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRow:
    """What was spent under one heading: a model, a key's id (None: without one), a day of UTC, …, or all together.

    known_nanousd : of all settled attempts whose price is known, corrections included; ``rejected_nanousd``,
        ``overhead_nanousd`` and ``estimated_nanousd`` are contained in it.
    overhead_nanousd : of shadow answers, judges, verifiers and embeddings.
    reserved_nanousd : bounds of the open attempts, which are settled later.
    saved_nanousd : what the cached answers had cost when they were bought.
    """

    heading: str | None
    requests: int | None = 0  # None by model, provider or kind: a request may call several
    attempts: int = 0
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    cancelled: int = 0
    open: int = 0
    unknown: int = 0  # settled attempts without a known price
    estimated: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    known_nanousd: int = 0
    rejected_nanousd: int = 0
    overhead_nanousd: int = 0
    estimated_nanousd: int = 0
    corrected_nanousd: int = 0
    reserved_nanousd: int = 0
    saved_nanousd: int = 0

    @property
    def nanousd(self) -> int | None:
        """What was spent as far as it is known; None where nothing of it is."""
        settled = self.attempts - self.open
        return None if settled and settled == self.unknown else self.known_nanousd

    def as_json(self) -> dict[str, Any]:
        """Plain values; amounts as integer nano-USD and as exact decimal strings of USD, null where unknown."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "known_nanousd"}
        amount = self.nanousd
        return {**plain, "cost_nanousd": amount, "cost_usd": None if amount is None else usd(amount)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A half-open stretch of time and whose spending is meant; None is without bound.

    tag : name and value that its request carried.
    """

    since: datetime | None = None
    until: datetime | None = None
    tenant_id: str | None = None
    team_id: str | None = None
    key_id: str | None = None
    policy: str | None = None
    model: str | None = None
    provider: str | None = None
    kind: str | None = None
    tag: tuple[str, str] | None = None

    @property
    def since_us(self) -> int | None:
        """In microseconds since 1970."""
        return None if self.since is None else _microseconds(self.since)

    @property
    def until_us(self) -> int | None:
        """In microseconds since 1970."""
        return None if self.until is None else _microseconds(self.until)

    @property
    def of_whole_requests(self) -> bool:
        """Whether a request is either meant as a whole or not at all."""
        return self.model is None and self.provider is None and self.kind is None

    def conditions(self) -> list[Condition]:
        """On the columns that attempts and requests have both."""
        return self._equal("tenant_id", "team_id", "key_id", "policy")

    def attempt_conditions(self) -> list[Condition]:
        """On the columns of attempts."""
        return [*self.conditions(), *self._equal("model", "provider", "kind")]

    def tag_conditions(self) -> list[Condition]:
        """On the value of the tag that is read."""
        value = None if self.tag is None else self.tag[1]
        return [] if value is None else [lambda source: source.c.tag_value == value]

    def _equal(self, *names: str) -> list[Condition]:
        return [_equals(name, getattr(self, name)) for name in names if getattr(self, name) is not None]


class Reports:
    """Reads one ledger. Raises DatabaseUnavailable, or DatabaseError where the schema is not there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spend(self, by: str, span: Span | None = None, told: list[str] | None = None) -> tuple[SpendRow, ...]:
        """One row per heading under which something was asked, costliest first, hours and days in order.

        by : one of HEADINGS, or ``tag:`` and a tag's name. Raises InvalidRequest for others.
        told : where the statements are written down.
        """
        rows = await self._rows(checked_heading(by), span or Span(), told)
        if by in ("day", "hour"):
            return tuple(sorted(rows, key=lambda row: row.heading or ""))
        return tuple(sorted(rows, key=lambda row: (-row.known_nanousd, row.heading or "")))

    async def total(self, span: Span | None = None) -> SpendRow:
        """Everything together."""
        rows = await self._rows(None, span or Span())
        return rows[0] if rows else SpendRow(heading=None)

    async def decision(self, decision_id: str, tenant_id: str | None) -> DecisionReport | None:
        """One request explained in full, if it is the tenant's; ``tenant_id`` None: whosever it is."""
        return await explain(self._database, decision_id, tenant_id=tenant_id)

    async def is_dropped(self, decision_id: str) -> bool:
        """Whether a decision is of months of which no single request is kept."""
        return await is_dropped(self._database, decision_id)

    async def _rows(self, by: str | None, span: Span, told: list[str] | None = None) -> list[SpendRow]:
        tag = by.removeprefix(TAG) if by is not None and by.startswith(TAG) else None
        if tag is not None and span.tag is not None and span.tag[0] != tag:
            raise InvalidRequest("by and tag name two different tags", param="tag", code="invalid_parameter")
        read_tag = tag if span.tag is None else span.tag[0]
        found: dict[str | None, dict[str, int]] = {}
        async with self._database.read() as connection:
            covered = await coverage(connection, span.since_us, span.until_us)
            sums = Sums(connection, covered, sqlite=self._database.is_sqlite, told=told)
            await _collect(found, sums, by, span, read_tag)
            if tag is not None and span.tag is None:  # those without the tag: all, minus those that have it
                rest: dict[str | None, dict[str, int]] = {}
                await _collect(rest, sums, None, span, None)
                without = rest.get(None, {})
                for row in found.values():
                    _add(without, {name: -value for name, value in row.items()})
                if any(without.values()):
                    found[None] = without
        known = {field.name for field in fields(SpendRow)}
        unasked: dict[str, Any] = {"requests": None} if by in _OF_ATTEMPTS_ALONE or not span.of_whole_requests else {}
        return [
            SpendRow(heading=key, **{**{name: value for name, value in row.items() if name in known}, **unasked})
            for key, row in found.items()
        ]


def checked_heading(by: str) -> str:
    """As it was given. Raises InvalidRequest where nothing can be broken down by it."""
    if by in HEADINGS or (by.startswith(TAG) and len(by) > len(TAG)):
        return by
    raise InvalidRequest(
        f"by: {by!r} is none of {', '.join(HEADINGS)} or tag:NAME", param="by", code="invalid_parameter"
    )


async def _collect(
    found: dict[str | None, dict[str, int]], sums: Sums, by: str | None, span: Span, tag: str | None
) -> None:
    column = [] if by is None else ["tag_value" if by.startswith(TAG) else _COLUMNS.get(by, by)]
    attempts = await sums.of(
        attempt_rollups,
        [*column, "kind", "state"],
        _ATTEMPT_MEASURES,
        [*span.attempt_conditions(), *span.tag_conditions()],
        tag,
    )
    for key, values in attempts.items():
        _add(found.setdefault(_heading(by, key), {}), _of_attempts(key[-2], key[-1], values))
    if not span.of_whole_requests or by in ("provider", "kind"):
        return
    of_model = ["answered_model"] if by == "model" else column
    where = [*span.conditions(), *span.tag_conditions()]
    for key, values in (await sums.of(request_rollups, [*of_model, "status"], _REQUEST_MEASURES, where, tag)).items():
        cached = key[-1] == "cached"
        if by == "model" and not cached:
            continue
        told = {"requests": int(values["requests"]), "saved_nanousd": int(values["saved_nanousd"])}
        told["cache_hits"] = told["requests"] if cached else 0
        _add(found.setdefault(_heading(by, key), {}), told)


def _of_attempts(kind: str, state: str | None, values: Mapping[str, int | float]) -> dict[str, int]:
    told = {
        name: int(value) for name, value in values.items() if name not in ("spent_nanousd", "unpriced", "unmeasured")
    }
    spent = int(values["spent_nanousd"])
    told["known_nanousd"] = spent
    told["unknown"] = int(values["unpriced"] + values["unmeasured"])
    told["open" if state is None else state] = told["attempts"]
    told["rejected_nanousd"] = spent if state == "rejected" else 0
    told["overhead_nanousd"] = 0 if kind in ("answer", "proposal") else spent
    return told


def _add(sums: dict[str, int], values: Mapping[str, int]) -> None:
    for name, value in values.items():
        sums[name] = sums.get(name, 0) + value


def _heading(by: str | None, key: Key) -> str | None:
    if by is None:
        return None
    if by == "day":
        return date.fromordinal(_EPOCH + int(key[0]) // DAY_US).isoformat()
    if by == "hour":
        return datetime.fromtimestamp(int(key[0]) // 1_000_000, UTC).strftime("%Y-%m-%dT%H:00Z")
    told: str | None = key[0]
    return told


def _equals(name: str, value: str) -> Condition:
    def condition(source: FromClause) -> ColumnElement[bool]:
        return source.c[name] == value

    return condition


def _microseconds(moment: datetime) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1_000_000)
