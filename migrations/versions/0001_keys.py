"""Virtual keys, and what the processes of one installation share."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "installation",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_installation"),
        comment="Secrets and settings that all processes of one installation share",
    )
    op.create_table(
        "virtual_keys",
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("display_prefix", sa.String(16), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("revoked_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key_id", name="pk_virtual_keys"),
        comment="Keys of clients; the secrets themselves are nowhere",
    )
    op.create_index("ix_virtual_keys_secret_sha256", "virtual_keys", ["secret_sha256"], unique=True)


def downgrade() -> None:
    """Back, keeping every row that the older schema can hold."""
    op.drop_table("virtual_keys")
    op.drop_table("installation")
