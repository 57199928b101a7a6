"""What providers' files, held against the ledger, did not agree on."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_DAY = sa.String(10)
_NAME = sa.String(256)


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "reconciliations",
        sa.Column("reconciliation_id", sa.String(64), nullable=False),
        sa.Column("provider", _NAME, nullable=False),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False, comment="the file's name"),
        sa.Column("first_day", _DAY, nullable=False, comment="of the file, such as 2026-11-01"),
        sa.Column("last_day", _DAY, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("variances", sa.Integer(), nullable=False, comment="0: every day agreed"),
        sa.PrimaryKeyConstraint("reconciliation_id", name="pk_reconciliations"),
        comment="Providers' files that were held against the ledger",
    )
    op.create_index("ix_reconciliations_provider_made_us", "reconciliations", ["provider", "made_us"])
    op.create_table(
        "variances",
        sa.Column("reconciliation_id", sa.String(64), nullable=False),
        sa.Column("day", _DAY, nullable=False),
        sa.Column("model", _NAME, nullable=False, comment="as the provider names it; *: all together"),
        sa.Column("meter", sa.String(64), nullable=False, comment="*: all together"),
        sa.Column("provider", _NAME, nullable=False),
        sa.Column("cause", sa.String(32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("ledger_quantity", sa.BigInteger()),
        sa.Column("invoice_quantity", sa.BigInteger()),
        sa.Column("ledger_nanousd", sa.BigInteger(), comment="NULL: not known"),
        sa.Column("invoice_nanousd", sa.BigInteger(), comment="NULL: the file does not say"),
        sa.PrimaryKeyConstraint("reconciliation_id", "day", "model", "meter", name="pk_variances"),
        sa.ForeignKeyConstraint(
            ["reconciliation_id"],
            ["reconciliations.reconciliation_id"],
            name="fk_variances_reconciliation_id_reconciliations",
        ),
        comment="Days on which a provider's file and the ledger differ",
    )
    op.create_index("ix_variances_provider_day", "variances", ["provider", "day"])


def downgrade() -> None:
    """Back to before; the files can be held against the ledger again."""
    op.drop_table("variances")
    op.drop_table("reconciliations")
