"""The rollups' tables: what was spent and asked in each hour, by everything that reports group or filter by.

A row with a ``tag_name`` is counted beside the rows without: one per tag of a request, so that sums by tag need no raw
row. An hour's rows are only ever replaced together. Knows no query.
"""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, String, Table

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
)
REQUEST_SQUARES = ("spent_squared", "reference_squared", "spent_by_reference")
"""Of the compared requests, in USD²: what an interval around their sums needs. Floating point, unlike all amounts."""

attempt_rollups = Table(
    "attempt_rollups",
    metadata,
    Column("tag_name", String(256), primary_key=True, comment="empty: all attempts, whatever their tags"),
    Column("hour_us", BigInteger, primary_key=True, autoincrement=False, comment="in which they were opened"),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="within the hour"),
    Column("tag_value", _TAG, nullable=False),
    Column("tenant_id", _ID, nullable=False),
    Column("team_id", _ID),
    Column("key_id", _ID),
    Column("policy", _NAME),
    Column("kind", _WORD, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("model", _NAME, nullable=False),
    Column("provider", _NAME),
    Column("state", _WORD, comment="NULL: not settled"),
    *(Column(name, BigInteger, nullable=False) for name in ATTEMPT_MEASURES),
    Column("latency_s", Double, nullable=False),
    Index(None, "hour_us"),
    comment="Attempts by hour; amounts with every correction, unknown ones counted apart",
    sqlite_with_rowid=False,
)

request_rollups = Table(
    "request_rollups",
    metadata,
    Column("tag_name", String(256), primary_key=True, comment="empty: all requests, whatever their tags"),
    Column("hour_us", BigInteger, primary_key=True, autoincrement=False, comment="in which they came"),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="within the hour"),
    Column("tag_value", _TAG, nullable=False),
    Column("tenant_id", _ID, nullable=False),
    Column("team_id", _ID),
    Column("key_id", _ID),
    Column("policy", _NAME),
    Column("status", _WORD, comment="NULL: under way"),
    Column("cache_status", _WORD),
    Column("answered_model", _NAME),
    Column("reference_model", _NAME),
    Column("reference_source", _WORD, comment="observed, shadow or modelled; NULL: nothing to compare with"),
    *(Column(name, BigInteger, nullable=False) for name in REQUEST_MEASURES),
    *(Column(name, Double, nullable=False) for name in REQUEST_SQUARES),
    Index(None, "hour_us"),
    comment="Requests by hour, with all that was spent for them and what their reference model would have cost",
    sqlite_with_rowid=False,
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
    comment="How far the rollups have come",
)
