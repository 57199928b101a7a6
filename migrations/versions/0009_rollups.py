"""Hourly rollups of attempts and requests, and how far they have come."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.String(64)
_NAME = sa.String(256)
_WORD = sa.String(32)

_OF_ATTEMPTS = (
    *("attempts", "estimated", "unpriced", "unmeasured", "corrected"),
    *("prompt_tokens", "cached_prompt_tokens", "cache_write_tokens", "completion_tokens", "reasoning_tokens"),
    *("spent_nanousd", "estimated_nanousd", "reserved_nanousd", "corrected_nanousd"),
)
_OF_REQUESTS = (
    *("requests", "unknown", "unknown_nanousd", "spent_nanousd", "saved_nanousd"),
    *("compared", "compared_nanousd", "reference_nanousd"),
)
_SQUARES = ("spent_squared", "reference_squared", "spent_by_reference")


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "attempt_rollups",
        *_key("in which they were opened", "empty: all attempts, whatever their tags"),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("model", _NAME, nullable=False),
        sa.Column("provider", _NAME),
        sa.Column("state", _WORD, comment="NULL: not settled"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _OF_ATTEMPTS),
        sa.Column("latency_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tag_name", "hour_us", "seq", name="pk_attempt_rollups"),
        comment="Attempts by hour; amounts with every correction, unknown ones counted apart",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "request_rollups",
        *_key("in which they came", "empty: all requests, whatever their tags"),
        sa.Column("status", _WORD, comment="NULL: under way"),
        sa.Column("cache_status", _WORD),
        sa.Column("answered_model", _NAME),
        sa.Column("reference_model", _NAME),
        sa.Column("reference_source", _WORD, comment="observed, shadow or modelled; NULL: nothing to compare with"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _OF_REQUESTS),
        *(sa.Column(name, sa.Double(), nullable=False) for name in _SQUARES),
        sa.PrimaryKeyConstraint("tag_name", "hour_us", "seq", name="pk_request_rollups"),
        comment="Requests by hour, with all that was spent for them and what their reference model would have cost",
        sqlite_with_rowid=False,
    )
    for table in ("attempt_rollups", "request_rollups"):
        op.create_index(f"ix_{table}_hour_us", table, ["hour_us"])
    _create_state()


def downgrade() -> None:
    """Back to before; raw rows are untouched. What was known only from rollups is lost."""
    for table in ("rollup_state", "rollup_marks", "request_rollups", "attempt_rollups"):
        op.drop_table(table)


def _key(hour: str, tag_name: str) -> list[sa.Column[Any]]:
    return [
        sa.Column("tag_name", _NAME, nullable=False, comment=tag_name),
        sa.Column("hour_us", sa.BigInteger(), nullable=False, autoincrement=False, comment=hour),
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=False, comment="within the hour"),
        sa.Column("tag_value", sa.String(1024), nullable=False),
        sa.Column("tenant_id", _ID, nullable=False),
        sa.Column("team_id", _ID),
        sa.Column("key_id", _ID),
        sa.Column("policy", _NAME),
    ]


def _create_state() -> None:
    op.create_table(
        "rollup_marks",
        sa.Column("writer_number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("link", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("writer_number", name="pk_rollup_marks"),
        comment="Up to which link of each writer's chain the rollups hold everything",
    )
    state = op.create_table(
        "rollup_state",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False, comment="1: there is one row"),
        sa.Column("turn", sa.BigInteger(), nullable=False, comment="raised by every write: who lost count stops"),
        sa.Column(
            "busy_until_us", sa.BigInteger(), nullable=False, comment="somebody is at work, unless this has passed"
        ),
        sa.Column("rolled_until_us", sa.BigInteger(), nullable=False, comment="hours before it are rolled up"),
        sa.Column("raw_since_us", sa.BigInteger(), nullable=False, comment="raw rows before it were dropped"),
        sa.PrimaryKeyConstraint("id", name="pk_rollup_state"),
        comment="How far the rollups have come",
    )
    op.bulk_insert(state, [{"id": 1, "turn": 0, "busy_until_us": 0, "rolled_until_us": 0, "raw_since_us": 0}])
