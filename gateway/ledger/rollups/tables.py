"""The rollups' tables: what was spent and asked in each hour, by everything that reports group or filter by.

A row with a ``tag_name`` is counted beside the rows without: one per tag of a request, so that sums by tag need no raw
row. An hour's rows are only ever replaced together, and so are those of a day, which are the sums of its hours'.
Knows no query.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, String, Table

from gateway.database import metadata

_ID = String(64)
_NAME = String(256)
_WORD = String(32)
_TAG = String(1024)

ATTEMPT_DIMENSIONS = (
    *("tenant_id", "team_id", "key_id", "policy", "kind", "stage", "model", "provider", "state"),
    *("tag_name", "tag_value"),
)
ATTEMPT_MEASURES = (
    *("attempts", "estimated", "unpriced", "unmeasured", "corrected"),
    *("prompt_tokens", "cached_prompt_tokens", "cache_write_tokens", "completion_tokens", "reasoning_tokens"),
    *("spent_nanousd", "estimated_nanousd", "reserved_nanousd", "corrected_nanousd"),
)
REQUEST_DIMENSIONS = (
    *("tenant_id", "team_id", "key_id", "policy", "status", "cache_status", "answered_model"),
    *("reference_model", "reference_source", "tag_name", "tag_value"),
)
REQUEST_MEASURES = (
    *("requests", "unknown", "unknown_nanousd", "spent_nanousd", "saved_nanousd"),
    *("compared", "compared_nanousd", "reference_nanousd"),
    "modelled_nanousd",
)
REQUEST_SQUARES = (
    *("spent_squared", "reference_squared", "spent_by_reference"),
    *("modelled_squared", "modelled_by_reference"),
)
"""Of the compared requests, in USD²: what an interval around their sums needs. Floating point, unlike all amounts."""

CAME_LATER = ("modelled_nanousd", "modelled_squared", "modelled_by_reference")
"""The last columns of their tables, and 0 in every row from before them."""


def _attempts(name: str, hour: str, comment: str) -> Table:
    return Table(
        name,
        metadata,
        *_key(hour, "empty: all attempts, whatever their tags"),
        Column("kind", _WORD, nullable=False),
        Column("stage", Integer, nullable=False),
        Column("model", _NAME, nullable=False),
        Column("provider", _NAME),
        Column("state", _WORD, comment="NULL: not settled"),
        *(Column(measure, BigInteger, nullable=False) for measure in ATTEMPT_MEASURES),
        Column("latency_s", Double, nullable=False),
        Index(None, "hour_us"),
        comment=comment,
        sqlite_with_rowid=False,
    )


def _requests(name: str, hour: str, comment: str) -> Table:
    return Table(
        name,
        metadata,
        *_key(hour, "empty: all requests, whatever their tags"),
        Column("status", _WORD, comment="NULL: under way"),
        Column("cache_status", _WORD),
        Column("answered_model", _NAME),
        Column("reference_model", _NAME),
        Column("reference_source", _WORD, comment="observed, shadow or modelled; NULL: nothing to compare with"),
        *(Column(name, BigInteger, nullable=False) for name in REQUEST_MEASURES if name not in CAME_LATER),
        *(Column(name, Double, nullable=False) for name in REQUEST_SQUARES if name not in CAME_LATER),
        Column(
            "modelled_nanousd",
            BigInteger,
            nullable=False,
            comment="of requests asked in shadow: what their reference would be taken to cost, had it not been asked",
        ),
        Column("modelled_squared", Double, nullable=False),
        Column("modelled_by_reference", Double, nullable=False),
        Index(None, "hour_us"),
        comment=comment,
        sqlite_with_rowid=False,
    )


def _key(hour: str, tag_name: str) -> list[Column[Any]]:
    return [
        Column("tag_name", String(256), primary_key=True, comment=tag_name),
        Column("hour_us", BigInteger, primary_key=True, autoincrement=False, comment=hour),
        Column("seq", Integer, primary_key=True, autoincrement=False, comment="within the hour"),
        Column("tag_value", _TAG, nullable=False),
        Column("tenant_id", _ID, nullable=False),
        Column("team_id", _ID),
        Column("key_id", _ID),
        Column("policy", _NAME),
    ]


attempt_rollups = _attempts(
    "attempt_rollups",
    "in which they were opened",
    "Attempts by hour; amounts with every correction, unknown ones counted apart",
)
request_rollups = _requests(
    "request_rollups",
    "in which they came",
    "Requests by hour, with all that was spent for them and what their reference model would have cost",
)
attempt_days = _attempts("attempt_days", "the first of the day", "attempt_rollups, added up by days of UTC")
request_days = _requests("request_days", "the first of the day", "request_rollups, added up by days of UTC")

rollup_days = Table(
    "rollup_days",
    metadata,
    Column("day_us", BigInteger, primary_key=True, autoincrement=False),
    Column("complete", Boolean, nullable=False, comment="false: its hours have changed since it was added up"),
    comment="Days that have hours",
)

rollup_marks = Table(
    "rollup_marks",
    metadata,
    Column("writer_number", Integer, primary_key=True, autoincrement=False),
    Column("link", BigInteger, nullable=False),
    comment="Up to which link of each writer's chain the rollups hold everything",
)

rollup_state = Table(
    "rollup_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="1: there is one row"),
    Column("turn", BigInteger, nullable=False, comment="raised by every write: who lost count stops"),
    Column("busy_until_us", BigInteger, nullable=False, comment="somebody is at work, unless this has passed"),
    Column("rolled_until_us", BigInteger, nullable=False, comment="hours before it are rolled up"),
    Column("raw_since_us", BigInteger, nullable=False, comment="raw rows before it were dropped"),
    Column("tags_since_us", BigInteger, nullable=False, default=0, comment="raw tags before it were dropped"),
    comment="How far the rollups have come",
)
