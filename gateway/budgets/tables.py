"""The tables of budgets: what may be spent, what is spent and set aside, and whom to tell.

Money is BIGINT nano-USD, time BIGINT microseconds since 1970 in UTC. Knows no query.
"""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from gateway.database import metadata

_ID = String(64)
_WORD = String(16)

budgets = Table(
    "budgets",
    metadata,
    Column("budget_id", _ID, primary_key=True),
    Column("level", _WORD, nullable=False, comment="org, team or key"),
    Column("scope_id", _ID, nullable=False),
    Column("period", _WORD, nullable=False, comment="daily, weekly, monthly or total"),
    Column("amount_nanousd", BigInteger, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("paced", Boolean, nullable=False),
    Column("alert_percents", Text, nullable=False, comment="JSON list of integers"),
    Column("created_us", BigInteger, nullable=False),
    Column("removed_us", BigInteger),
    Index(None, "scope_id"),
    comment="What an organisation, a team or a key may spend",
)

budget_windows = Table(
    "budget_windows",
    metadata,
    Column("budget_id", _ID, ForeignKey("budgets.budget_id"), primary_key=True),
    Column("starts_us", BigInteger, primary_key=True, autoincrement=False),
    Column("ends_us", BigInteger, comment="NULL: never"),
    Column("reserved_nanousd", BigInteger, nullable=False, comment="set aside for calls under way"),
    Column("settled_nanousd", BigInteger, nullable=False, comment="spent"),
    Column("unknown", Integer, nullable=False, comment="settled calls without a known price"),
    Column("alerted_percent", Integer, nullable=False, comment="the highest that was told"),
    comment="How a budget stands in each of its windows",
)

budget_holds = Table(
    "budget_holds",
    metadata,
    Column("attempt_id", _ID, primary_key=True),
    Column("budget_id", _ID, primary_key=True),
    Column("starts_us", BigInteger, nullable=False, comment="the window that it is booked in, whenever it ends"),
    Column("reserved_nanousd", BigInteger, nullable=False),
    comment="What is set aside for each attempt that has not ended",
)

budget_alerts = Table(
    "budget_alerts",
    metadata,
    Column("budget_id", _ID, ForeignKey("budgets.budget_id"), primary_key=True),
    Column("starts_us", BigInteger, primary_key=True, autoincrement=False),
    Column("percent", Integer, primary_key=True, autoincrement=False),
    Column("raised_us", BigInteger, nullable=False),
    Column("settled_nanousd", BigInteger, nullable=False),
    Column("amount_nanousd", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try_us", BigInteger, comment="NULL: told, or given up"),
    Column("told_us", BigInteger),
    Column("trouble", Text, comment="why the last try failed"),
    Index(None, "next_try_us"),
    comment="Thresholds that were reached: one row each, told at least once",
)
