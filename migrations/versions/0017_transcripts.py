"""Questions and answers, where keeping them is switched on."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "transcripts",
        sa.Column("decision_id", sa.String(64), nullable=False),
        sa.Column("attempt_id", sa.String(64), nullable=False, comment="empty: the question"),
        sa.Column("created_us", sa.BigInteger(), nullable=False, comment="when the request came"),
        sa.Column("content", sa.LargeBinary(), nullable=False, comment="JSON, packed by zlib"),
        sa.PrimaryKeyConstraint("decision_id", "attempt_id", name="pk_transcripts"),
        comment="What was asked and what models said",
    )
    op.create_index("ix_transcripts_created_us", "transcripts", ["created_us"])


def downgrade() -> None:
    """Back to before: what was kept is gone."""
    op.drop_table("transcripts")
