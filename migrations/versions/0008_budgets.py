"""Budgets: what may be spent, how it stands in each window, what attempts under way hold of it, whom to tell."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.String(64)
_WORD = sa.String(16)


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "budgets",
        sa.Column("budget_id", _ID, nullable=False),
        sa.Column("level", _WORD, nullable=False, comment="org, team or key"),
        sa.Column("scope_id", _ID, nullable=False),
        sa.Column("period", _WORD, nullable=False, comment="daily, weekly, monthly or total"),
        sa.Column("amount_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("paced", sa.Boolean(), nullable=False),
        sa.Column("alert_percents", sa.Text(), nullable=False, comment="JSON list of integers"),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("removed_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("budget_id", name="pk_budgets"),
        comment="What an organisation, a team or a key may spend",
    )
    op.create_index("ix_budgets_scope_id", "budgets", ["scope_id"])
    op.create_table(
        "budget_windows",
        sa.Column("budget_id", _ID, nullable=False),
        sa.Column("starts_us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("ends_us", sa.BigInteger(), comment="NULL: never"),
        sa.Column("reserved_nanousd", sa.BigInteger(), nullable=False, comment="set aside for calls under way"),
        sa.Column("settled_nanousd", sa.BigInteger(), nullable=False, comment="spent"),
        sa.Column("unknown", sa.Integer(), nullable=False, comment="settled calls without a known price"),
        sa.Column("alerted_percent", sa.Integer(), nullable=False, comment="the highest that was told"),
        sa.PrimaryKeyConstraint("budget_id", "starts_us", name="pk_budget_windows"),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.budget_id"], name="fk_budget_windows_budget_id_budgets"),
        comment="How a budget stands in each of its windows",
    )
    op.create_table(
        "budget_holds",
        sa.Column("attempt_id", _ID, nullable=False),
        sa.Column("budget_id", _ID, nullable=False),
        sa.Column(
            "starts_us", sa.BigInteger(), nullable=False, comment="the window that it is booked in, whenever it ends"
        ),
        sa.Column("reserved_nanousd", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", "budget_id", name="pk_budget_holds"),
        comment="What is set aside for each attempt that has not ended",
    )
    op.create_table(
        "budget_alerts",
        sa.Column("budget_id", _ID, nullable=False),
        sa.Column("starts_us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("percent", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("raised_us", sa.BigInteger(), nullable=False),
        sa.Column("settled_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("amount_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_us", sa.BigInteger(), comment="NULL: told, or given up"),
        sa.Column("told_us", sa.BigInteger()),
        sa.Column("trouble", sa.Text(), comment="why the last try failed"),
        sa.PrimaryKeyConstraint("budget_id", "starts_us", "percent", name="pk_budget_alerts"),
        sa.ForeignKeyConstraint(["budget_id"], ["budgets.budget_id"], name="fk_budget_alerts_budget_id_budgets"),
        comment="Thresholds that were reached: one row each, told at least once",
    )
    op.create_index("ix_budget_alerts_next_try_us", "budget_alerts", ["next_try_us"])


def downgrade() -> None:
    """Back, keeping every row that the older schema can hold."""
    for table in ("budget_alerts", "budget_holds", "budget_windows", "budgets"):
        op.drop_table(table)
