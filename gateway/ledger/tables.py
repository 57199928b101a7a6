"""The ledger's tables: what was asked, what was called, how it ended, what each part of it costs and who owes it.

Rows are only ever added; an ending is a row of its own beside its beginning. Money is BIGINT nano-USD, time is BIGINT
microseconds since 1970 in UTC: both engines then compare, group and add them alike, and exactly. NULL means unknown.
``month`` (such as 202611) is the one that a row's identifier carries; PostgreSQL keeps each month in a partition.
``link`` is the link of the hash chain that the row was committed with. Knows no query.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from gateway.database import ExactDecimal, metadata
from router.ids import month_of

_ID = String(64)
_NAME = String(256)
_WORD = String(32)
_BY_MONTH = "RANGE (month)"


def _month(of: str) -> Column[int]:
    def derived(context: Any) -> int:
        return month_of(context.get_current_parameters()[of])

    default: Callable[[Any], int] = derived
    return Column("month", Integer, primary_key=True, autoincrement=False, default=default)


def _link() -> Column[int]:
    return Column("link", BigInteger, nullable=False, default=0, comment="of the hash chain; 0: from before it")


def _scrubbed() -> Column[int]:
    return Column("scrubbed", BigInteger, comment="the link that says what is left of it; NULL: it is as written")


writers = Table(
    "writers",
    metadata,
    Column("writer_id", _ID, primary_key=True),
    Column("number", Integer, nullable=False, comment="the upper part of its links"),
    Column("started_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False, comment="renewed while the process lives"),
    Column("stopped_us", BigInteger, comment="set by an orderly stop"),
    Column("place", Text, nullable=False, comment="host, boot and process namespace"),
    Column("process", Text, nullable=False, comment="process id and its start time"),
    Column("settled_until_us", BigInteger, comment="no attempt opened before it was open when it was last seen"),
    Column("swept_us", BigInteger, comment="when its orphans were settled"),
    Index(None, "number", unique=True),
    comment="Processes that write here: an unsettled attempt of a dead one is an orphan",
)

price_versions = Table(
    "price_versions",
    metadata,
    Column("price_version", _ID, primary_key=True),
    Column("model", _NAME, nullable=False),
    Column("content", Text, nullable=False, comment="JSON: rates, bands, dates, region and source of the price"),
    Column("seen_us", BigInteger, nullable=False, comment="when it was first used here"),
    comment="What each price version says, for as long as amounts refer to it",
)

requests = Table(
    "requests",
    metadata,
    Column("decision_id", _ID, primary_key=True),
    _month("decision_id"),
    Column("created_us", BigInteger, nullable=False),
    Column("writer_id", _ID, ForeignKey("writers.writer_id"), nullable=False),
    Column("tenant_id", _ID, nullable=False, comment="the organisation"),
    Column("team_id", _ID),
    Column("key_id", _ID),
    Column("policy", _NAME),
    Column("requested_model", _NAME, nullable=False),
    Column("endpoint", _NAME, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("strategy_id", _NAME),
    Column("scorer_version", _NAME),
    Column("reference_model", _NAME),
    Column("tags", Text, nullable=False, comment="JSON object of strings"),
    _link(),
    _scrubbed(),
    Index(None, "tenant_id", "decision_id"),
    Index(None, "created_us"),
    comment="One row per request of a client",
    postgresql_partition_by=_BY_MONTH,
)

closings = Table(
    "closings",
    metadata,
    Column("decision_id", _ID, primary_key=True),
    _month("decision_id"),
    Column("closed_us", BigInteger, nullable=False),
    Column("status", _WORD, nullable=False, comment="answered, failed, cancelled, cached or lost"),
    Column("stop_reason", _WORD),
    Column("abstention", _WORD, comment="why the scorer abstained, where it did"),
    Column("answered_attempt", _ID),
    Column("answered_model", _NAME),
    Column("cache_status", _WORD, nullable=False),
    Column("saved_nanousd", BigInteger, comment="what the cached answer cost when it was bought"),
    Column("reference_nanousd", BigInteger, comment="what the reference model alone would have cost"),
    Column("reference_source", _WORD, comment="observed: it answered; modelled: its price on another model's tokens"),
    Column("steps", Text, comment="JSON: what a plan believed and expected before every call and at its end"),
    _link(),
    _scrubbed(),
    ForeignKeyConstraint(["decision_id", "month"], ["requests.decision_id", "requests.month"]),
    comment="How a request ended",
    postgresql_partition_by=_BY_MONTH,
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", _ID, primary_key=True),
    _month("attempt_id"),
    Column("decision_id", _ID, nullable=False, comment="its request, which may be of the month before"),
    Column("writer_id", _ID, ForeignKey("writers.writer_id"), nullable=False),
    Column("kind", _WORD, nullable=False, comment="answer, shadow, judge, verifier or embedding"),
    Column("stage", Integer, nullable=False, comment="0 is the first"),
    Column("model", _NAME, nullable=False),
    Column("deployment", _NAME, comment="which of the model's, where it has several"),
    Column("cause", _WORD, nullable=False, default="first", comment="first, retry, hedge or fallback"),
    Column("provider", _NAME, comment="whose bill it comes on"),
    Column("tenant_id", _ID, nullable=False, comment="this and the next three as its request has them"),
    Column("team_id", _ID),
    Column("key_id", _ID),
    Column("policy", _NAME),
    Column("opened_us", BigInteger, nullable=False),
    Column("reserved_nanousd", BigInteger, comment="upper bound of the cost; NULL where none can be proven"),
    Column("price_version", _ID, comment="NULL: the price was unknown"),
    Column("spooled", Boolean, nullable=False, default=False, comment="made while the database was away"),
    _link(),
    Index(None, "decision_id"),
    Index(None, "opened_us"),
    comment="One row per call to an upstream, committed before the call is made",
    postgresql_partition_by=_BY_MONTH,
)

settlements = Table(
    "settlements",
    metadata,
    Column("attempt_id", _ID, primary_key=True),
    _month("attempt_id"),
    Column("settled_us", BigInteger, nullable=False),
    Column("state", _WORD, nullable=False, comment="accepted, rejected, failed or cancelled"),
    Column("prompt_tokens", BigInteger),
    Column("cached_prompt_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("usage_source", _WORD, comment="provider, counted or estimated; NULL: nothing may be billed"),
    Column("amount_nanousd", BigInteger, comment="sum of the line items; NULL where the price is unknown"),
    Column("latency_s", Double, nullable=False),
    Column("first_token_s", Double),
    Column("score", Double),
    Column("threshold", Double),
    Column("finish_reason", _WORD),
    Column("error_kind", _WORD),
    Column("error_status", Integer, comment="HTTP status of the upstream"),
    Column("verdicts", Text, comment="JSON list: what verifiers said of the answer; NULL: none was asked"),
    _link(),
    _scrubbed(),
    ForeignKeyConstraint(["attempt_id", "month"], ["attempts.attempt_id", "attempts.month"]),
    comment="How an attempt ended: at most one row each",
    postgresql_partition_by=_BY_MONTH,
)

line_items = Table(
    "line_items",
    metadata,
    Column("attempt_id", _ID, primary_key=True),
    _month("attempt_id"),
    Column("meter", _WORD, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="0, or the correction that it belongs to"),
    Column("quantity", BigInteger, nullable=False, comment="of a correction: by how much it changes"),
    Column(
        "rate_usd", ExactDecimal, comment="per million tokens; for request, image and bound per piece; NULL: unknown"
    ),
    Column("price_version", _ID),
    Column("source", _WORD, comment="how the quantity is known: provider, counted or estimated"),
    Column("amount_nanousd", BigInteger, comment="NULL where the price is unknown; of a correction: the change"),
    _link(),
    ForeignKeyConstraint(["attempt_id", "month"], ["settlements.attempt_id", "settlements.month"]),
    comment="What an attempt costs, meter by meter; what it costs now is the sum",
    postgresql_partition_by=_BY_MONTH,
)

corrections = Table(
    "corrections",
    metadata,
    Column("attempt_id", _ID, primary_key=True),
    _month("attempt_id"),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="1 is the first"),
    Column("corrected_us", BigInteger, nullable=False),
    Column("event", _WORD, nullable=False, comment="correct or reprice"),
    Column(
        "amount_nanousd", BigInteger, nullable=False, comment="what is added to the settlement's amount, or its first"
    ),
    Column("price_version", _ID),
    Column("reason", Text, nullable=False),
    _link(),
    ForeignKeyConstraint(["attempt_id", "month"], ["settlements.attempt_id", "settlements.month"]),
    comment="What was found out after the settlement",
    postgresql_partition_by=_BY_MONTH,
)

entries = Table(
    "entries",
    metadata,
    Column("subject_id", _ID, primary_key=True, comment="the attempt; or what idle capacity was accounted for"),
    _month("subject_id"),
    Column("event", _WORD, primary_key=True, comment="reserve, release, charge, correct, reprice or allocate"),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="of the correction, else 0"),
    Column("posted_us", BigInteger, nullable=False),
    Column(
        "debit", _WORD, nullable=False, comment="account whose balance rises: tenant, reserved, overhead, gpu_idle …"
    ),
    Column("credit", _WORD, nullable=False, comment="account whose balance falls by as much: reserved, provider, …"),
    Column("amount_nanousd", BigInteger, nullable=False),
    Column("tenant_id", _ID, comment="whose accounts tenant and reserved are"),
    Column("provider", _NAME, comment="whose account provider is"),
    _link(),
    CheckConstraint("amount_nanousd > 0", name="positive"),
    CheckConstraint("debit <> credit", name="two_accounts"),
    Index(None, "posted_us"),
    comment="Double entries: both sides stand in one row, so that none is ever without the other",
    postgresql_partition_by=_BY_MONTH,
)

links = Table(
    "links",
    metadata,
    Column("link", BigInteger, primary_key=True, autoincrement=False, comment="writer number × 2^36 + position"),
    Column("month", Integer, primary_key=True, autoincrement=False, comment="in which it was committed"),
    Column("committed_us", BigInteger, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("previous", LargeBinary, nullable=False, comment="hash of the writer's link before"),
    Column("hash", LargeBinary, nullable=False, comment="SHA-256 over previous, link and manifest"),
    Column(
        "manifest", LargeBinary, nullable=False, comment="zlib: table, key and digest of every row committed with it"
    ),
    comment="The hash chain of each writer: one link per commit",
    postgresql_partition_by=_BY_MONTH,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("writer_number", Integer, primary_key=True, autoincrement=False, comment="whose chain it is"),
    Column("before_month", Integer, primary_key=True, autoincrement=False, comment="months before it were dropped"),
    Column("through", BigInteger, nullable=False, comment="the newest of its links that was dropped"),
    Column("hash", String(64), nullable=False, comment="of that link, in hexadecimal digits"),
    Column("links", BigInteger, nullable=False, comment="of it that were dropped, altogether"),
    Column("attempts", BigInteger, nullable=False, comment="that it opened and that were dropped, altogether"),
    Column("spent_nanousd", BigInteger, nullable=False, comment="what it settled and corrected of what was dropped"),
    Column("made_us", BigInteger, nullable=False),
    _link(),
    comment="Where each writer's chain begins since its older links were dropped; the newest month's rows stand",
)

kept_days = Table(
    "kept_days",
    metadata,
    Column("day_us", BigInteger, primary_key=True, autoincrement=False),
    Column("before_month", Integer, primary_key=True, autoincrement=False, comment="months before it were dropped"),
    Column("until_us", BigInteger, nullable=False, comment="hours before it: all of the day's, but of the newest day"),
    Column("digest", String(64), nullable=False, comment="of the day's rows in the rollups"),
    _link(),
    comment="Days of which the rollups alone tell, and a digest of what they tell; the newest month's rows stand",
)

retention_state = Table(
    "retention_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="1: there is one row"),
    Column("turn", BigInteger, nullable=False, comment="raised by every write: who lost count stops"),
    Column("busy_until_us", BigInteger, nullable=False, comment="somebody is at work, unless this has passed"),
    Column("details_from_us", BigInteger, nullable=False, comment="rows made before it hold no details any more"),
    Column("announced_month", Integer, nullable=False, comment="nothing is added to months before it"),
    Column("dropped_month", Integer, nullable=False, comment="no row of a month before it is left"),
    comment="How far details and money were dropped",
)

BY_MONTH = (requests, closings, attempts, settlements, line_items, corrections, entries, links)
"""The tables that grow with traffic, in an order that satisfies their references."""
