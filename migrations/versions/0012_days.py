"""Rollups of whole days; those of days that are over are made by the next fold."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
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
        "attempt_days",
        *_key("empty: all attempts, whatever their tags"),
        sa.Column("kind", _WORD, nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("model", _NAME, nullable=False),
        sa.Column("provider", _NAME),
        sa.Column("state", _WORD, comment="NULL: not settled"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _OF_ATTEMPTS),
        sa.Column("latency_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tag_name", "hour_us", "seq", name="pk_attempt_days"),
        comment="attempt_rollups, added up by days of UTC",
        sqlite_with_rowid=False,
    )
    op.create_table(
        "request_days",
        *_key("empty: all requests, whatever their tags"),
        sa.Column("status", _WORD, comment="NULL: under way"),
        sa.Column("cache_status", _WORD),
        sa.Column("answered_model", _NAME),
        sa.Column("reference_model", _NAME),
        sa.Column("reference_source", _WORD, comment="observed, shadow or modelled; NULL: nothing to compare with"),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _OF_REQUESTS),
        *(sa.Column(name, sa.Double(), nullable=False) for name in _SQUARES),
        sa.PrimaryKeyConstraint("tag_name", "hour_us", "seq", name="pk_request_days"),
        comment="request_rollups, added up by days of UTC",
        sqlite_with_rowid=False,
    )
    for table in ("attempt_days", "request_days"):
        op.create_index(f"ix_{table}_hour_us", table, ["hour_us"])
    op.create_table(
        "rollup_days",
        sa.Column("day_us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column(
            "complete", sa.Boolean(), nullable=False, comment="false: its hours have changed since it was added up"
        ),
        sa.PrimaryKeyConstraint("day_us", name="pk_rollup_days"),
        comment="Days that have hours",
    )
    op.execute(
        "INSERT INTO rollup_days (day_us, complete) SELECT DISTINCT day_us, FALSE FROM ("
        "SELECT hour_us - hour_us % 86400000000 AS day_us FROM attempt_rollups UNION "
        "SELECT hour_us - hour_us % 86400000000 AS day_us FROM request_rollups) AS days"
    )


def downgrade() -> None:
    """Back to hours, of which days are only sums."""
    for table in ("rollup_days", "request_days", "attempt_days"):
        op.drop_table(table)


def _key(tag_name: str) -> list[sa.Column[Any]]:
    return [
        sa.Column("tag_name", _NAME, nullable=False, comment=tag_name),
        sa.Column("hour_us", sa.BigInteger(), nullable=False, autoincrement=False, comment="the first of the day"),
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=False, comment="within the hour"),
        sa.Column("tag_value", sa.String(1024), nullable=False),
        sa.Column("tenant_id", _ID, nullable=False),
        sa.Column("team_id", _ID),
        sa.Column("key_id", _ID),
        sa.Column("policy", _NAME),
    ]
