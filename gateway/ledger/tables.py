"""The ledger's tables: what was asked, what was called, how it ended and what each part of it costs.

Rows are only ever added; an ending is a row of its own beside its beginning. Money is BIGINT nano-USD, time is BIGINT
microseconds since 1970 in UTC: both engines then compare, group and add them alike, and exactly. NULL means unknown.
Knows no query.
"""

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, String, Table, Text

from gateway.database import ExactDecimal, metadata

_ID = String(64)
_NAME = String(256)
_WORD = String(32)

writers = Table(
    "writers",
    metadata,
    Column("writer_id", _ID, primary_key=True),
    Column("started_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False, comment="renewed while the process lives"),
    Column("stopped_us", BigInteger, comment="set by an orderly stop"),
    Column("place", Text, nullable=False, comment="host, boot and process namespace"),
    Column("process", Text, nullable=False, comment="process id and its start time"),
    Column("swept_us", BigInteger, comment="when its orphans were settled"),
    comment="Processes that write here: an unsettled attempt of a dead one is an orphan",
)

requests = Table(
    "requests",
    metadata,
    Column("decision_id", _ID, primary_key=True),
    Column("created_us", BigInteger, nullable=False),
    Column("writer_id", _ID, ForeignKey("writers.writer_id"), nullable=False),
    Column("tenant_id", _ID, nullable=False),
    Column("key_id", _ID),
    Column("policy", _NAME),
    Column("requested_model", _NAME, nullable=False),
    Column("endpoint", _NAME, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("strategy_id", _NAME),
    Column("scorer_version", _NAME),
    Column("reference_model", _NAME),
    Column("tags", Text, nullable=False, comment="JSON object of strings"),
    Index(None, "tenant_id", "decision_id"),
    Index(None, "created_us"),
    comment="One row per request of a client",
)

closings = Table(
    "closings",
    metadata,
    Column("decision_id", _ID, ForeignKey("requests.decision_id"), primary_key=True),
    Column("closed_us", BigInteger, nullable=False),
    Column("status", _WORD, nullable=False, comment="answered, failed, cancelled, cached or lost"),
    Column("stop_reason", _WORD),
    Column("answered_attempt", _ID),
    Column("answered_model", _NAME),
    Column("cache_status", _WORD, nullable=False),
    Column("saved_nanousd", BigInteger, comment="what the cached answer cost when it was bought"),
    Column("reference_nanousd", BigInteger, comment="what the reference model alone would have cost"),
    Column("reference_source", _WORD, comment="observed: it answered; modelled: its price on another model's tokens"),
    comment="How a request ended",
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", _ID, primary_key=True),
    Column("decision_id", _ID, ForeignKey("requests.decision_id"), nullable=False),
    Column("writer_id", _ID, ForeignKey("writers.writer_id"), nullable=False),
    Column("kind", _WORD, nullable=False, comment="answer; later also shadow, judge, embedding"),
    Column("stage", Integer, nullable=False, comment="0 is the first"),
    Column("model", _NAME, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("reserved_nanousd", BigInteger, comment="upper bound of the cost; NULL where none can be proven"),
    Column("price_version", _ID, comment="NULL: the price was unknown"),
    Index(None, "decision_id"),
    Index(None, "opened_us"),
    comment="One row per call to an upstream, committed before the call is made",
)

settlements = Table(
    "settlements",
    metadata,
    Column("attempt_id", _ID, ForeignKey("attempts.attempt_id"), primary_key=True),
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
    comment="How an attempt ended: at most one row each",
)

line_items = Table(
    "line_items",
    metadata,
    Column("attempt_id", _ID, ForeignKey("settlements.attempt_id"), primary_key=True),
    Column("meter", _WORD, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("quantity", BigInteger, nullable=False),
    Column("rate_usd", ExactDecimal, comment="per million tokens; for request and bound, per piece; NULL: unknown"),
    Column("price_version", _ID),
    Column("amount_nanousd", BigInteger, comment="NULL where the price is unknown"),
    comment="What an attempt costs, meter by meter",
)
