"""The table of requests that are to be answered once. Knows no query."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from gateway.database import metadata

once_requests = Table(
    "once_requests",
    metadata,
    Column("key_hash", String(64), primary_key=True, comment="of tenant, virtual key and Idempotency-Key"),
    Column("body_hash", String(64), nullable=False, comment="of the request; its text is not kept"),
    Column("claim_id", String(64), nullable=False, comment="whose claim it is: of one process, for one request"),
    Column("state", String(16), nullable=False, comment="running, kept, unkept or unknown"),
    Column("until_us", BigInteger, nullable=False, comment="running for longer means that its process has died"),
    Column("expires_us", BigInteger, nullable=False, comment="then the row goes, and the answer with it"),
    Column("answer", LargeBinary, comment="the decision and the body, as JSON; only in the state kept"),
    Index(None, "expires_us"),
    comment="Requests with an Idempotency-Key, and the answers that a repetition gets",
)
