"""The ledger: requests, attempts, settlements, line items, closings, and the processes that write them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.String(64)
_NAME = sa.String(256)
_WORD = sa.String(32)


def upgrade() -> None:
    """Towards the newest schema."""
    _create_writers()
    _create_requests()
    _create_attempts()
    _create_line_items()


def downgrade() -> None:
    """Back, keeping every row that the older schema can hold."""
    for table in ("line_items", "settlements", "attempts", "closings", "requests", "writers"):
        op.drop_table(table)


def _create_writers() -> None:
    op.create_table(
        "writers",
        sa.Column("writer_id", _ID, nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False, comment="renewed while the process lives"),
        sa.Column("stopped_us", sa.BigInteger(), comment="set by an orderly stop"),
        sa.Column("place", sa.Text(), nullable=False, comment="host, boot and process namespace"),
        sa.Column("process", sa.Text(), nullable=False, comment="process id and its start time"),
        sa.Column("swept_us", sa.BigInteger(), comment="when its orphans were settled"),
        sa.PrimaryKeyConstraint("writer_id", name="pk_writers"),
        comment="Processes that write here: an unsettled attempt of a dead one is an orphan",
    )


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("decision_id", _ID, nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("writer_id", _ID, nullable=False),
        sa.Column("tenant_id", _ID, nullable=False),
        sa.Column("key_id", _ID),
        sa.Column("policy", _NAME),
        sa.Column("requested_model", _NAME, nullable=False),
        sa.Column("endpoint", _NAME, nullable=False),
        sa.Column("streamed", sa.Boolean(), nullable=False),
        sa.Column("strategy_id", _NAME),
        sa.Column("scorer_version", _NAME),
        sa.Column("reference_model", _NAME),
        sa.Column("tags", sa.Text(), nullable=False, comment="JSON object of strings"),
        sa.PrimaryKeyConstraint("decision_id", name="pk_requests"),
        sa.ForeignKeyConstraint(["writer_id"], ["writers.writer_id"], name="fk_requests_writer_id_writers"),
        comment="One row per request of a client",
    )
    op.create_index("ix_requests_tenant_id_decision_id", "requests", ["tenant_id", "decision_id"])
    op.create_index("ix_requests_created_us", "requests", ["created_us"])
    op.create_table(
        "closings",
        sa.Column("decision_id", _ID, nullable=False),
        sa.Column("closed_us", sa.BigInteger(), nullable=False),
        sa.Column("status", _WORD, nullable=False, comment="answered, failed, cancelled, cached or lost"),
        sa.Column("stop_reason", _WORD),
        sa.Column("answered_attempt", _ID),
        sa.Column("answered_model", _NAME),
        sa.Column("cache_status", _WORD, nullable=False),
        sa.Column("saved_nanousd", sa.BigInteger(), comment="what the cached answer cost when it was bought"),
        sa.Column("reference_nanousd", sa.BigInteger(), comment="what the reference model alone would have cost"),
        sa.Column(
            "reference_source",
            _WORD,
            comment="observed: it answered; modelled: its price on another model's tokens",
        ),
        sa.PrimaryKeyConstraint("decision_id", name="pk_closings"),
        sa.ForeignKeyConstraint(["decision_id"], ["requests.decision_id"], name="fk_closings_decision_id_requests"),
        comment="How a request ended",
    )


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("attempt_id", _ID, nullable=False),
        sa.Column("decision_id", _ID, nullable=False),
        sa.Column("writer_id", _ID, nullable=False),
        sa.Column("kind", _WORD, nullable=False, comment="answer; later also shadow, judge, embedding"),
        sa.Column("stage", sa.Integer(), nullable=False, comment="0 is the first"),
        sa.Column("model", _NAME, nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "reserved_nanousd", sa.BigInteger(), comment="upper bound of the cost; NULL where none can be proven"
        ),
        sa.Column("price_version", _ID, comment="NULL: the price was unknown"),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_attempts"),
        sa.ForeignKeyConstraint(["decision_id"], ["requests.decision_id"], name="fk_attempts_decision_id_requests"),
        sa.ForeignKeyConstraint(["writer_id"], ["writers.writer_id"], name="fk_attempts_writer_id_writers"),
        comment="One row per call to an upstream, committed before the call is made",
    )
    op.create_index("ix_attempts_decision_id", "attempts", ["decision_id"])
    op.create_index("ix_attempts_opened_us", "attempts", ["opened_us"])
    op.create_table(
        "settlements",
        sa.Column("attempt_id", _ID, nullable=False),
        sa.Column("settled_us", sa.BigInteger(), nullable=False),
        sa.Column("state", _WORD, nullable=False, comment="accepted, rejected, failed or cancelled"),
        sa.Column("prompt_tokens", sa.BigInteger()),
        sa.Column("cached_prompt_tokens", sa.BigInteger()),
        sa.Column("cache_write_tokens", sa.BigInteger()),
        sa.Column("completion_tokens", sa.BigInteger()),
        sa.Column("reasoning_tokens", sa.BigInteger()),
        sa.Column("usage_source", _WORD, comment="provider, counted or estimated; NULL: nothing may be billed"),
        sa.Column("amount_nanousd", sa.BigInteger(), comment="sum of the line items; NULL where the price is unknown"),
        sa.Column("latency_s", sa.Double(), nullable=False),
        sa.Column("first_token_s", sa.Double()),
        sa.Column("score", sa.Double()),
        sa.Column("threshold", sa.Double()),
        sa.Column("finish_reason", _WORD),
        sa.Column("error_kind", _WORD),
        sa.Column("error_status", sa.Integer(), comment="HTTP status of the upstream"),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_settlements"),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.attempt_id"], name="fk_settlements_attempt_id_attempts"),
        comment="How an attempt ended: at most one row each",
    )


def _create_line_items() -> None:
    op.create_table(
        "line_items",
        sa.Column("attempt_id", _ID, nullable=False),
        sa.Column("meter", _WORD, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column(
            "rate_usd",
            sa.Numeric().with_variant(sa.String(64), "sqlite"),  # SQLite's NUMERIC is a float
            comment="per million tokens; for request and bound, per piece; NULL: unknown",
        ),
        sa.Column("price_version", _ID),
        sa.Column("amount_nanousd", sa.BigInteger(), comment="NULL where the price is unknown"),
        sa.PrimaryKeyConstraint("attempt_id", "meter", "seq", name="pk_line_items"),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["settlements.attempt_id"], name="fk_line_items_attempt_id_settlements"
        ),
        comment="What an attempt costs, meter by meter",
    )
