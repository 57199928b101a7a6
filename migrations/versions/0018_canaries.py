"""Canaries that were set while the gateway serves."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "canaries",
        sa.Column("policy", sa.String(64), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False, comment="as in its file"),
        sa.Column("share", sa.Double(), nullable=False, comment="of conversations"),
        sa.Column("set_by", sa.String(64), nullable=False, comment="the key that was signed in with, or operator"),
        sa.Column("set_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("policy", name="pk_canaries"),
        comment="Strategies that are tried, beside those that the configuration names",
    )


def downgrade() -> None:
    """Back to before: only the configuration's canaries are left."""
    op.drop_table("canaries")
