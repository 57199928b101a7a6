"""What endpoints were seen to do, and to do without."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "probes",
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("deployment", sa.String(64), nullable=False, comment="of the model, by its name or number"),
        sa.Column("endpoint_sha256", sa.String(64), nullable=False, comment="of its URL and of the model's name there"),
        sa.Column("looks_sha256", sa.String(64), nullable=False, comment="of what the server says of itself"),
        sa.Column("state", sa.String(16), nullable=False, comment="running or done"),
        sa.Column(
            "since_us",
            sa.BigInteger(),
            nullable=False,
            comment="when it began, was done, or came to hold again",
        ),
        sa.Column("report", sa.Text(), comment="what was found, as JSON; no answer's text"),
        sa.PrimaryKeyConstraint("model", "deployment", "endpoint_sha256", "looks_sha256", name="pk_probes"),
        comment="What endpoints were seen to do, and to do without; a row for each that looks different",
    )


def downgrade() -> None:
    """Back; what was found out has to be asked again."""
    op.drop_table("probes")
