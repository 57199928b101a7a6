"""Double entries, corrections, price versions and a hash chain per writer."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.String(64)
_NAME = sa.String(256)
_WORD = sa.String(32)

_ADDED = ("corrections", "entries", "links")


def upgrade() -> None:
    """Towards the newest schema."""
    _create_price_versions()
    _create_corrections()
    _create_entries()
    _create_links()
    if op.get_context().dialect.name == "postgresql":
        for table in _ADDED:
            op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    _fill_entries()


def downgrade() -> None:
    """Back; corrections are added to what they correct, so that the sums stay."""
    op.execute(
        "UPDATE settlements SET amount_nanousd = COALESCE(amount_nanousd, 0) + (SELECT SUM(c.amount_nanousd) "
        "FROM corrections c WHERE c.attempt_id = settlements.attempt_id) "
        "WHERE attempt_id IN (SELECT attempt_id FROM corrections)"
    )
    for table in ("links", "entries", "corrections", "price_versions"):
        op.drop_table(table)


def _month() -> "sa.Column[int]":
    return sa.Column("month", sa.Integer(), nullable=False, autoincrement=False)


def _link() -> "sa.Column[int]":
    return sa.Column("link", sa.BigInteger(), nullable=False, comment="of the hash chain; 0: from before it")


def _by_month() -> dict[str, str]:
    return {"postgresql_partition_by": "RANGE (month)"}


def _create_price_versions() -> None:
    op.create_table(
        "price_versions",
        sa.Column("price_version", _ID, nullable=False),
        sa.Column("model", _NAME, nullable=False),
        sa.Column(
            "content", sa.Text(), nullable=False, comment="JSON: rates, bands, dates, region and source of the price"
        ),
        sa.Column("seen_us", sa.BigInteger(), nullable=False, comment="when it was first used here"),
        sa.PrimaryKeyConstraint("price_version", name="pk_price_versions"),
        comment="What each price version says, for as long as amounts refer to it",
    )


def _create_corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("attempt_id", _ID, nullable=False),
        _month(),
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=False, comment="1 is the first"),
        sa.Column("corrected_us", sa.BigInteger(), nullable=False),
        sa.Column("event", _WORD, nullable=False, comment="correct or reprice"),
        sa.Column(
            "amount_nanousd",
            sa.BigInteger(),
            nullable=False,
            comment="what is added to the settlement's amount, or its first",
        ),
        sa.Column("price_version", _ID),
        sa.Column("reason", sa.Text(), nullable=False),
        _link(),
        sa.PrimaryKeyConstraint("attempt_id", "month", "seq", name="pk_corrections"),
        sa.ForeignKeyConstraint(
            ["attempt_id", "month"],
            ["settlements.attempt_id", "settlements.month"],
            name="fk_corrections_attempt_id_settlements",
        ),
        comment="What was found out after the settlement",
        **_by_month(),
    )


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("subject_id", _ID, nullable=False, comment="the attempt; or what idle capacity was accounted for"),
        _month(),
        sa.Column("event", _WORD, nullable=False, comment="reserve, release, charge, correct, reprice or allocate"),
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=False, comment="of the correction, else 0"),
        sa.Column("posted_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "debit",
            _WORD,
            nullable=False,
            comment="account whose balance rises: tenant, reserved, overhead, gpu_idle …",
        ),
        sa.Column(
            "credit",
            _WORD,
            nullable=False,
            comment="account whose balance falls by as much: reserved, provider, …",
        ),
        sa.Column("amount_nanousd", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", _ID, comment="whose accounts tenant and reserved are"),
        sa.Column("provider", _NAME, comment="whose account provider is"),
        _link(),
        sa.PrimaryKeyConstraint("subject_id", "month", "event", "seq", name="pk_entries"),
        sa.CheckConstraint("amount_nanousd > 0", name="ck_entries_positive"),
        sa.CheckConstraint("debit <> credit", name="ck_entries_two_accounts"),
        comment="Double entries: both sides stand in one row, so that none is ever without the other",
        **_by_month(),
    )
    op.create_index("ix_entries_posted_us", "entries", ["posted_us"])


def _create_links() -> None:
    op.create_table(
        "links",
        sa.Column(
            "link", sa.BigInteger(), nullable=False, autoincrement=False, comment="writer number × 2^36 + position"
        ),
        sa.Column("month", sa.Integer(), nullable=False, autoincrement=False, comment="in which it was committed"),
        sa.Column("committed_us", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False, comment="hash of the writer's link before"),
        sa.Column("hash", sa.LargeBinary(), nullable=False, comment="SHA-256 over previous, link and manifest"),
        sa.Column(
            "manifest",
            sa.LargeBinary(),
            nullable=False,
            comment="zlib: table, key and digest of every row committed with it",
        ),
        sa.PrimaryKeyConstraint("link", "month", name="pk_links"),
        comment="The hash chain of each writer: one link per commit",
        **_by_month(),
    )


def _fill_entries() -> None:
    settled = "attempts a JOIN settlements s ON s.attempt_id = a.attempt_id AND s.month = a.month"
    _entries("reserve", "tenant", "reserved", "a.reserved_nanousd", "a.opened_us", "attempts a")
    _entries("release", "reserved", "tenant", "a.reserved_nanousd", "s.settled_us", settled)
    _entries("charge", "tenant", "provider", "s.amount_nanousd", "s.settled_us", settled)


def _entries(event: str, debit: str, credit: str, amount: str, moment: str, source: str) -> None:
    columns: Sequence[str] = ("subject_id", "month", "event", "seq", "posted_us", "debit", "credit", "amount_nanousd")
    op.execute(
        f"INSERT INTO entries ({', '.join(columns)}, tenant_id, link) "  # noqa: S608 - our own names
        f"SELECT a.attempt_id, a.month, '{event}', 0, {moment}, '{debit}', '{credit}', {amount}, a.tenant_id, 0 "
        f"FROM {source} WHERE {amount} > 0"
    )
