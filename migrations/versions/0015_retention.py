"""Details and money that have their time: what is left of scrubbed rows, and where chains begin."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_SCRUBBED = ("requests", "closings", "settlements")


def upgrade() -> None:
    """Towards the newest schema."""
    for table in _SCRUBBED:
        said = "the link that says what is left of it; NULL: it is as written"
        op.add_column(table, sa.Column("scrubbed", sa.BigInteger(), comment=said))
    op.add_column(
        "rollup_state",
        sa.Column(
            "tags_since_us",
            sa.BigInteger(),
            nullable=False,
            server_default="0",
            comment="raw tags before it were dropped",
        ),
    )
    with op.batch_alter_table("rollup_state") as state:
        state.alter_column("tags_since_us", existing_type=sa.BigInteger(), server_default=None)
    op.create_table(
        "checkpoints",
        sa.Column("writer_number", sa.Integer(), nullable=False, autoincrement=False, comment="whose chain it is"),
        sa.Column(
            "before_month", sa.Integer(), nullable=False, autoincrement=False, comment="months before it were dropped"
        ),
        sa.Column("through", sa.BigInteger(), nullable=False, comment="the newest of its links that was dropped"),
        sa.Column("hash", sa.String(64), nullable=False, comment="of that link, in hexadecimal digits"),
        sa.Column("links", sa.BigInteger(), nullable=False, comment="of it that were dropped, altogether"),
        sa.Column(
            "attempts", sa.BigInteger(), nullable=False, comment="that it opened and that were dropped, altogether"
        ),
        sa.Column(
            "spent_nanousd",
            sa.BigInteger(),
            nullable=False,
            comment="what it settled and corrected of what was dropped",
        ),
        sa.Column("made_us", sa.BigInteger(), nullable=False),
        sa.Column("link", sa.BigInteger(), nullable=False, comment="of the hash chain; 0: from before it"),
        sa.PrimaryKeyConstraint("writer_number", "before_month", name="pk_checkpoints"),
        comment="Where each writer's chain begins since its older links were dropped; the newest month's rows stand",
    )
    op.create_table(
        "kept_days",
        sa.Column("day_us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column(
            "before_month", sa.Integer(), nullable=False, autoincrement=False, comment="months before it were dropped"
        ),
        sa.Column(
            "until_us",
            sa.BigInteger(),
            nullable=False,
            comment="hours before it: all of the day's, but of the newest day",
        ),
        sa.Column("digest", sa.String(64), nullable=False, comment="of the day's rows in the rollups"),
        sa.Column("link", sa.BigInteger(), nullable=False, comment="of the hash chain; 0: from before it"),
        sa.PrimaryKeyConstraint("day_us", "before_month", name="pk_kept_days"),
        comment="Days of which the rollups alone tell, and a digest of what they tell; the newest month's rows stand",
    )
    _create_state()


def downgrade() -> None:
    """Back to before; what was dropped stays dropped, and the older version's check names where chains begin late."""
    for table in ("retention_state", "kept_days", "checkpoints"):
        op.drop_table(table)
    op.drop_column("rollup_state", "tags_since_us")
    for table in reversed(_SCRUBBED):
        op.drop_column(table, "scrubbed")


def _create_state() -> None:
    state = op.create_table(
        "retention_state",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False, comment="1: there is one row"),
        sa.Column("turn", sa.BigInteger(), nullable=False, comment="raised by every write: who lost count stops"),
        sa.Column(
            "busy_until_us", sa.BigInteger(), nullable=False, comment="somebody is at work, unless this has passed"
        ),
        sa.Column(
            "details_from_us", sa.BigInteger(), nullable=False, comment="rows made before it hold no details any more"
        ),
        sa.Column("announced_month", sa.Integer(), nullable=False, comment="nothing is added to months before it"),
        sa.Column("dropped_month", sa.Integer(), nullable=False, comment="no row of a month before it is left"),
        sa.PrimaryKeyConstraint("id", name="pk_retention_state"),
        comment="How far details and money were dropped",
    )
    nothing = {"id": 1, "turn": 0, "busy_until_us": 0, "details_from_us": 0, "announced_month": 0, "dropped_month": 0}
    op.bulk_insert(state, [nothing])
