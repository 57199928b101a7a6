"""The table of what was found out about deployments. Knows no query."""

from sqlalchemy import BigInteger, Column, String, Table, Text

from gateway.database import metadata

probes = Table(
    "probes",
    metadata,
    Column("model", String(128), primary_key=True),
    Column("deployment", String(64), primary_key=True, comment="of the model, by its name or number"),
    Column("endpoint_sha256", String(64), primary_key=True, comment="of its URL and of the model's name there"),
    Column("looks_sha256", String(64), primary_key=True, comment="of what the server says of itself"),
    Column("state", String(16), nullable=False, comment="running or done"),
    Column("since_us", BigInteger, nullable=False, comment="when it began, was done, or came to hold again"),
    Column("report", Text, comment="what was found, as JSON; no answer's text"),
    comment="What endpoints were seen to do, and to do without; a row for each that looks different",
)
