"""What people said of answers."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "reviews",
        sa.Column("decision_id", sa.String(64), nullable=False),
        sa.Column("reviewer", sa.String(64), nullable=False, comment="the key that was signed in with, or operator"),
        sa.Column("tenant_id", sa.String(64), nullable=False, comment="of the decision"),
        sa.Column("label", sa.Double(), nullable=False, comment="from 0, useless, to 1, good"),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("reviewed_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", "reviewer", name="pk_reviews"),
        comment="What people said of answers",
    )
    op.create_index("ix_reviews_tenant_id_decision_id", "reviews", ["tenant_id", "decision_id"])


def downgrade() -> None:
    """Back to before: what people said is lost."""
    op.drop_table("reviews")
