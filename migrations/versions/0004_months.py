"""The ledger by months: rows carry the month of their identifier; PostgreSQL keeps each in its own partition."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.String(64)
_NAME = sa.String(256)
_WORD = sa.String(32)

_MOVED = ("requests", "closings", "attempts", "settlements", "line_items")  # in the order of their references
_NEW = {"month", "link", "team_id", "provider", "spooled", "source", "deployment", "cause"}
_NEW_IN_ATTEMPTS = {"tenant_id", "key_id", "policy"}


def upgrade() -> None:
    """Towards the newest schema."""
    for table in reversed(_MOVED):
        op.execute(f"CREATE TABLE moving_{table} AS SELECT * FROM {table}")  # noqa: S608 - our own names
        op.drop_table(table)
    _extend_writers()  # SQLite can only where nothing refers to it
    _create_requests()
    _create_closings()
    _create_attempts()
    _create_settlements()
    _create_line_items()
    _make_partitions()
    _fill_moved()
    for table in _MOVED:
        op.drop_table(f"moving_{table}")


def downgrade() -> None:
    """Back, keeping every row that the older schema can hold."""
    for table in _MOVED:
        names = ", ".join(_kept(table))
        op.execute(f"CREATE TABLE moving_{table} AS SELECT {names} FROM {table}")  # noqa: S608 - our own names
    for table in reversed(_MOVED):
        op.drop_table(table)
    op.drop_index("ix_writers_number", "writers")
    with op.batch_alter_table("writers") as writers:
        writers.drop_column("settled_until_us")
        writers.drop_column("number")
    script = op.get_context().script
    older = None if script is None else script.get_revision("0002")
    if older is None:
        raise RuntimeError("migration 0002 is not there")
    for create in ("_create_requests", "_create_attempts", "_create_line_items"):
        getattr(older.module, create)()
    for table in _MOVED:
        names = ", ".join(_columns(f"moving_{table}"))
        op.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM moving_{table}")  # noqa: S608 - as above
    for table in _MOVED:
        op.drop_table(f"moving_{table}")


def _columns(table: str) -> list[str]:
    return [column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)]


def _kept(table: str) -> list[str]:
    new = _NEW | (_NEW_IN_ATTEMPTS if table == "attempts" else set())
    return [name for name in _columns(table) if name not in new]


def _is_postgres() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _month() -> "sa.Column[int]":
    return sa.Column("month", sa.Integer(), nullable=False, autoincrement=False)


def _link() -> "sa.Column[int]":
    return sa.Column("link", sa.BigInteger(), nullable=False, comment="of the hash chain; 0: from before it")


def _by_month() -> dict[str, str]:
    return {"postgresql_partition_by": "RANGE (month)"}


def _extend_writers() -> None:
    with op.batch_alter_table("writers") as writers:
        writers.add_column(sa.Column("number", sa.Integer(), comment="the upper part of its links"))
        writers.add_column(
            sa.Column(
                "settled_until_us",
                sa.BigInteger(),
                comment="no attempt opened before it was open when it was last seen",
            )
        )
    op.execute("UPDATE writers SET number = (SELECT COUNT(*) FROM writers w WHERE w.writer_id <= writers.writer_id)")
    with op.batch_alter_table("writers") as writers:
        writers.alter_column("number", existing_type=sa.Integer(), nullable=False)
    op.create_index("ix_writers_number", "writers", ["number"], unique=True)


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("decision_id", _ID, nullable=False),
        _month(),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("writer_id", _ID, nullable=False),
        sa.Column("tenant_id", _ID, nullable=False, comment="the organisation"),
        sa.Column("team_id", _ID),
        sa.Column("key_id", _ID),
        sa.Column("policy", _NAME),
        sa.Column("requested_model", _NAME, nullable=False),
        sa.Column("endpoint", _NAME, nullable=False),
        sa.Column("streamed", sa.Boolean(), nullable=False),
        sa.Column("strategy_id", _NAME),
        sa.Column("scorer_version", _NAME),
        sa.Column("reference_model", _NAME),
        sa.Column("tags", sa.Text(), nullable=False, comment="JSON object of strings"),
        _link(),
        sa.PrimaryKeyConstraint("decision_id", "month", name="pk_requests"),
        sa.ForeignKeyConstraint(["writer_id"], ["writers.writer_id"], name="fk_requests_writer_id_writers"),
        comment="One row per request of a client",
        **_by_month(),
    )
    op.create_index("ix_requests_tenant_id_decision_id", "requests", ["tenant_id", "decision_id"])
    op.create_index("ix_requests_created_us", "requests", ["created_us"])


def _create_closings() -> None:
    op.create_table(
        "closings",
        sa.Column("decision_id", _ID, nullable=False),
        _month(),
        sa.Column("closed_us", sa.BigInteger(), nullable=False),
        sa.Column("status", _WORD, nullable=False, comment="answered, failed, cancelled, cached or lost"),
        sa.Column("stop_reason", _WORD),
        sa.Column("answered_attempt", _ID),
        sa.Column("answered_model", _NAME),
        sa.Column("cache_status", _WORD, nullable=False),
        sa.Column("saved_nanousd", sa.BigInteger(), comment="what the cached answer cost when it was bought"),
        sa.Column("reference_nanousd", sa.BigInteger(), comment="what the reference model alone would have cost"),
        sa.Column(
            "reference_source", _WORD, comment="observed: it answered; modelled: its price on another model's tokens"
        ),
        _link(),
        sa.PrimaryKeyConstraint("decision_id", "month", name="pk_closings"),
        sa.ForeignKeyConstraint(
            ["decision_id", "month"],
            ["requests.decision_id", "requests.month"],
            name="fk_closings_decision_id_requests",
        ),
        comment="How a request ended",
        **_by_month(),
    )


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("attempt_id", _ID, nullable=False),
        _month(),
        sa.Column("decision_id", _ID, nullable=False, comment="its request, which may be of the month before"),
        sa.Column("writer_id", _ID, nullable=False),
        sa.Column("kind", _WORD, nullable=False, comment="answer, shadow, judge, verifier or embedding"),
        sa.Column("stage", sa.Integer(), nullable=False, comment="0 is the first"),
        sa.Column("model", _NAME, nullable=False),
        sa.Column("deployment", _NAME, comment="which of the model's, where it has several"),
        sa.Column("cause", _WORD, nullable=False, comment="first, retry, hedge or fallback"),
        sa.Column("provider", _NAME, comment="whose bill it comes on"),
        sa.Column("tenant_id", _ID, nullable=False, comment="this and the next three as its request has them"),
        sa.Column("team_id", _ID),
        sa.Column("key_id", _ID),
        sa.Column("policy", _NAME),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "reserved_nanousd", sa.BigInteger(), comment="upper bound of the cost; NULL where none can be proven"
        ),
        sa.Column("price_version", _ID, comment="NULL: the price was unknown"),
        sa.Column("spooled", sa.Boolean(), nullable=False, comment="made while the database was away"),
        _link(),
        sa.PrimaryKeyConstraint("attempt_id", "month", name="pk_attempts"),
        sa.ForeignKeyConstraint(["writer_id"], ["writers.writer_id"], name="fk_attempts_writer_id_writers"),
        comment="One row per call to an upstream, committed before the call is made",
        **_by_month(),
    )
    op.create_index("ix_attempts_decision_id", "attempts", ["decision_id"])
    op.create_index("ix_attempts_opened_us", "attempts", ["opened_us"])


def _create_settlements() -> None:
    op.create_table(
        "settlements",
        sa.Column("attempt_id", _ID, nullable=False),
        _month(),
        sa.Column("settled_us", sa.BigInteger(), nullable=False),
        sa.Column("state", _WORD, nullable=False, comment="accepted, rejected, failed or cancelled"),
        sa.Column("prompt_tokens", sa.BigInteger()),
        sa.Column("cached_prompt_tokens", sa.BigInteger()),
        sa.Column("cache_write_tokens", sa.BigInteger()),
        sa.Column("completion_tokens", sa.BigInteger()),
        sa.Column("reasoning_tokens", sa.BigInteger()),
        sa.Column("usage_source", _WORD, comment="provider, counted or estimated; NULL: nothing may be billed"),
        sa.Column("amount_nanousd", sa.BigInteger(), comment="sum of the line items; NULL where the price is unknown"),
        sa.Column("latency_s", sa.Double(), nullable=False),
        sa.Column("first_token_s", sa.Double()),
        sa.Column("score", sa.Double()),
        sa.Column("threshold", sa.Double()),
        sa.Column("finish_reason", _WORD),
        sa.Column("error_kind", _WORD),
        sa.Column("error_status", sa.Integer(), comment="HTTP status of the upstream"),
        _link(),
        sa.PrimaryKeyConstraint("attempt_id", "month", name="pk_settlements"),
        sa.ForeignKeyConstraint(
            ["attempt_id", "month"],
            ["attempts.attempt_id", "attempts.month"],
            name="fk_settlements_attempt_id_attempts",
        ),
        comment="How an attempt ended: at most one row each",
        **_by_month(),
    )


def _create_line_items() -> None:
    op.create_table(
        "line_items",
        sa.Column("attempt_id", _ID, nullable=False),
        _month(),
        sa.Column("meter", _WORD, nullable=False),
        sa.Column(
            "seq", sa.Integer(), nullable=False, autoincrement=False, comment="0, or the correction that it belongs to"
        ),
        sa.Column("quantity", sa.BigInteger(), nullable=False, comment="of a correction: by how much it changes"),
        sa.Column(
            "rate_usd",
            sa.Numeric().with_variant(sa.String(64), "sqlite"),  # SQLite's NUMERIC is a float
            comment="per million tokens; for request, image and bound per piece; NULL: unknown",
        ),
        sa.Column("price_version", _ID),
        sa.Column("source", _WORD, comment="how the quantity is known: provider, counted or estimated"),
        sa.Column(
            "amount_nanousd", sa.BigInteger(), comment="NULL where the price is unknown; of a correction: the change"
        ),
        _link(),
        sa.PrimaryKeyConstraint("attempt_id", "month", "meter", "seq", name="pk_line_items"),
        sa.ForeignKeyConstraint(
            ["attempt_id", "month"],
            ["settlements.attempt_id", "settlements.month"],
            name="fk_line_items_attempt_id_settlements",
        ),
        comment="What an attempt costs, meter by meter; what it costs now is the sum",
        **_by_month(),
    )


def _make_partitions() -> None:
    """A default one each, and one for each month that has rows; those who write make further ones ahead of time."""
    if not _is_postgres():
        return
    months = set()
    for table, key in (("requests", "decision_id"), ("attempts", "attempt_id")):
        query = sa.text(f"SELECT DISTINCT {_month_of(key)} FROM moving_{table}")  # noqa: S608 - our own names
        months |= set(op.get_bind().execute(query).scalars())
    for table in _MOVED:
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        for month in sorted(months - {0}):
            following = month + 1 if month % 100 < 12 else month + 89
            op.execute(
                f"CREATE TABLE {table}_y{month // 100:04d}m{month % 100:02d} PARTITION OF {table} "
                f"FOR VALUES FROM ({month}) TO ({following})"
            )


def _month_of(column: str) -> str:
    """The month that an identifier carries (as router.ids.month_of reads it), as SQL."""
    if _is_postgres():
        digits = f"substr({column}, 5, 12)"
        moment = f"to_timestamp((('x' || {digits})::bit(48)::bigint) / 1000)"
        month = f"to_char({moment} AT TIME ZONE 'UTC', 'YYYYMM')::integer"
        return f"CASE WHEN {digits} ~ '^0[0-6][0-9a-f]{{10}}$' THEN {month} ELSE 0 END"
    digits = f"substr({column}, 5, 12)"
    milliseconds = " + ".join(
        f"((instr('0123456789abcdef', substr({column}, {5 + n}, 1)) - 1) << {4 * (11 - n)})" for n in range(12)
    )
    month = f"CAST(strftime('%Y%m', ({milliseconds}) / 1000, 'unixepoch') AS INTEGER)"
    return f"CASE WHEN {digits} GLOB '0[0-6]{'[0-9a-f]' * 10}' THEN {month} ELSE 0 END"


def _fill_moved() -> None:
    _fill("requests", "decision_id")
    _fill("closings", "decision_id")
    request = "FROM moving_requests r WHERE r.decision_id = moving_attempts.decision_id"
    owner = {name: f"(SELECT r.{name} {request})" for name in ("tenant_id", "key_id", "policy")}
    _fill("attempts", "attempt_id", {**owner, "spooled": "FALSE", "cause": "'first'"})
    _fill("settlements", "attempt_id")
    source = "(SELECT s.usage_source FROM moving_settlements s WHERE s.attempt_id = moving_line_items.attempt_id)"
    _fill("line_items", "attempt_id", {"source": source})


def _fill(table: str, key: str, added: dict[str, str] | None = None) -> None:
    old = [column["name"] for column in sa.inspect(op.get_bind()).get_columns(f"moving_{table}")]
    new = {"month": _month_of(key), "link": "0", **(added or {})}
    names, values = ", ".join([*old, *new]), ", ".join([*old, *new.values()])
    op.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM moving_{table}")  # noqa: S608 - our own names
