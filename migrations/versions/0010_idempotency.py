"""Requests with an Idempotency-Key, and the answers that a repetition gets."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "once_requests",
        sa.Column("key_hash", sa.String(64), nullable=False, comment="of tenant, virtual key and Idempotency-Key"),
        sa.Column("body_hash", sa.String(64), nullable=False, comment="of the request; its text is not kept"),
        sa.Column(
            "claim_id", sa.String(64), nullable=False, comment="whose claim it is: of one process, for one request"
        ),
        sa.Column("state", sa.String(16), nullable=False, comment="running, kept, unkept or unknown"),
        sa.Column(
            "until_us", sa.BigInteger(), nullable=False, comment="running for longer means that its process has died"
        ),
        sa.Column("expires_us", sa.BigInteger(), nullable=False, comment="then the row goes, and the answer with it"),
        sa.Column("answer", sa.LargeBinary(), comment="the decision and the body, as JSON; only in the state kept"),
        sa.PrimaryKeyConstraint("key_hash", name="pk_once_requests"),
        comment="Requests with an Idempotency-Key, and the answers that a repetition gets",
    )
    op.create_index("ix_once_requests_expires_us", "once_requests", ["expires_us"])


def downgrade() -> None:
    """Back; answers that were kept for repetitions are gone, and a repetition is a new request."""
    op.drop_table("once_requests")
