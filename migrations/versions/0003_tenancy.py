"""Organisations, teams, what a key may do, and rate limits. Every tenant there is becomes an organisation."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.String(64)
_WORD = sa.String(16)
_NEW_OF_A_KEY = (
    ("team_id", _ID, "NULL: it belongs to the organisation directly"),
    ("role", _WORD, "admin, member or viewer"),
    ("models", sa.Text(), "JSON list of names that it may ask for; NULL: every one"),
    ("max_cost_nanousd", sa.BigInteger(), "of one request; NULL: no such limit"),
    ("expires_us", sa.BigInteger(), None),
    ("previous_sha256", _ID, "the secret before the last rotation"),
    ("previous_until_us", sa.BigInteger(), "until when that one still opens"),
)


def upgrade() -> None:
    """Towards the newest schema."""
    op.create_table(
        "organisations",
        sa.Column("org_id", _ID, nullable=False, comment="the tenant id of everything that is kept apart"),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("closed_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("org_id", name="pk_organisations"),
        comment="Tenants: none sees another's answers, decisions or spend",
    )
    op.create_table(
        "teams",
        sa.Column("team_id", _ID, nullable=False),
        sa.Column("org_id", _ID, nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("closed_us", sa.BigInteger()),
        sa.PrimaryKeyConstraint("team_id", name="pk_teams"),
        sa.ForeignKeyConstraint(["org_id"], ["organisations.org_id"], name="fk_teams_org_id_organisations"),
        comment="Parts of an organisation with keys, budgets and limits of their own",
    )
    op.create_index("ix_teams_org_id", "teams", ["org_id"])
    op.create_table(
        "rate_limits",
        sa.Column("level", _WORD, nullable=False, comment="org, team or key"),
        sa.Column("scope_id", _ID, nullable=False),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("tokens_per_minute", sa.Integer()),
        sa.Column("concurrent", sa.Integer()),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("level", "scope_id", name="pk_rate_limits"),
        comment="How much an organisation, a team or a key may ask for",
    )
    for name, kind, comment in _NEW_OF_A_KEY:
        default = {"nullable": False, "server_default": "member"} if name == "role" else {}
        op.add_column("virtual_keys", sa.Column(name, kind, comment=comment, **default))
    op.create_index("ix_virtual_keys_previous_sha256", "virtual_keys", ["previous_sha256"])
    op.execute(
        "INSERT INTO organisations (org_id, name, created_us) "
        "SELECT tenant_id, tenant_id, MIN(created_us) FROM virtual_keys GROUP BY tenant_id"
    )
    # the one that keys are made for where none is named
    op.execute(
        "INSERT INTO organisations (org_id, name, created_us) SELECT 'default', 'default', 0 "
        "WHERE NOT EXISTS (SELECT 1 FROM organisations WHERE org_id = 'default')"
    )


def downgrade() -> None:
    """Back, keeping every row that the older schema can hold."""
    op.drop_index("ix_virtual_keys_previous_sha256", "virtual_keys")
    for name, _, _ in reversed(_NEW_OF_A_KEY):
        op.drop_column("virtual_keys", name)
    for table in ("rate_limits", "teams", "organisations"):
        op.drop_table(table)
