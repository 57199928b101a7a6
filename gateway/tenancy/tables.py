"""The tables of who may call: organisations, teams, keys, and how often each may.

Times are microseconds since 1970 in UTC. Nothing is ever deleted: what ended says when. Knows no query.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from gateway.database import metadata

_ID = String(64)
_WORD = String(16)

organisations = Table(
    "organisations",
    metadata,
    Column("org_id", _ID, primary_key=True, comment="the tenant id of everything that is kept apart"),
    Column("name", String(256), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger),
    comment="Tenants: none sees another's answers, decisions or spend",
)

teams = Table(
    "teams",
    metadata,
    Column("team_id", _ID, primary_key=True),
    Column("org_id", _ID, ForeignKey("organisations.org_id"), nullable=False),
    Column("name", String(256), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger),
    Index(None, "org_id"),
    comment="Parts of an organisation with keys, budgets and limits of their own",
)

virtual_keys = Table(
    "virtual_keys",
    metadata,
    Column("key_id", _ID, primary_key=True),
    Column("tenant_id", _ID, nullable=False),
    Column("name", String(256), nullable=False),
    Column("display_prefix", _WORD, nullable=False),
    Column("secret_sha256", _ID, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
    Column("team_id", _ID, comment="NULL: it belongs to the organisation directly"),
    Column("role", _WORD, nullable=False, server_default="member", comment="admin, member or viewer"),
    Column("models", Text, comment="JSON list of names that it may ask for; NULL: every one"),
    Column("max_cost_nanousd", BigInteger, comment="of one request; NULL: no such limit"),
    Column("expires_us", BigInteger),
    Column("previous_sha256", _ID, comment="the secret before the last rotation"),
    Column("previous_until_us", BigInteger, comment="until when that one still opens"),
    Index(None, "secret_sha256", unique=True),
    Index(None, "previous_sha256"),
    comment="Keys of clients; the secrets themselves are nowhere",
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("level", _WORD, primary_key=True, comment="org, team or key"),
    Column("scope_id", _ID, primary_key=True),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("concurrent", Integer),
    Column("changed_us", BigInteger, nullable=False),
    comment="How much an organisation, a team or a key may ask for",
)
