"""Virtual keys: made, listed, revoked and recognised. Only a hash of a key's secret is kept.

Knows the table of keys and a short memory of recent look-ups. Knows no HTTP and no budget.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, String, Table, insert, select, update

from gateway.database import Database, metadata
from gateway.errors import GatewayError
from router.ids import new_id

PREFIX = "sk-spw-"
DEFAULT_TENANT = "default"
_RECOGNISABLE = len(PREFIX) + 6  # of 43 random characters, 6 tell keys apart and leave 37 to guess
_LONGEST = 256

_keys = Table(
    "virtual_keys",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("tenant_id", String(64), nullable=False),
    Column("name", String(256), nullable=False),
    Column("display_prefix", String(16), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
    Index(None, "secret_sha256", unique=True),
    comment="Keys of clients; the secrets themselves are nowhere",
)


class NoSuchKey(GatewayError):
    """No key has that id, or it was revoked before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What may be shown of a key."""

    key_id: str
    tenant_id: str
    name: str
    display_prefix: str  # the secret's first characters
    created: datetime
    revoked: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks."""

    tenant_id: str
    key_id: str
    name: str


class KeyStore:
    """The keys of one database.

    remember_s : for how long a look-up is trusted. A revoked key stops at once in the process that revoked it and
        within this time in every other; a new key begins at once, unless its secret was tried before it existed.
    """

    def __init__(
        self,
        database: Database,
        *,
        remember_s: float = 3.0,
        remember_most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._remember_s, self._remember_most, self._clock = remember_s, remember_most, clock
        self._recent: OrderedDict[str, tuple[float, Caller | None]] = OrderedDict()
        self._epoch = 0  # raised by every change here: an answer read before a change is not remembered after it

    async def create(self, name: str, *, tenant_id: str = DEFAULT_TENANT) -> tuple[KeyInfo, str]:
        """A new key and its secret, which is never to be had again."""
        secret = PREFIX + secrets.token_urlsafe(32)
        info = KeyInfo(
            key_id=new_id("key"),
            tenant_id=tenant_id,
            name=name,
            display_prefix=secret[:_RECOGNISABLE],
            created=datetime.now(UTC),
        )
        row = {
            "key_id": info.key_id,
            "tenant_id": info.tenant_id,
            "name": info.name,
            "display_prefix": info.display_prefix,
            "secret_sha256": _hash(secret),
            "created_us": _microseconds(info.created),
        }
        async with self._database.write() as connection:
            await connection.execute(insert(_keys), row)
        self._forget()
        return info, secret

    async def list(self, *, tenant_id: str | None = None) -> tuple[KeyInfo, ...]:
        """All keys, or a tenant's, oldest first, revoked ones included."""
        query = select(_keys).order_by(_keys.c.created_us, _keys.c.key_id)
        if tenant_id is not None:
            query = query.where(_keys.c.tenant_id == tenant_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return tuple(_info(row) for row in rows)

    async def revoke(self, key_id: str) -> None:
        """Let a key open nothing from now on. Raises NoSuchKey."""
        live = (_keys.c.key_id == key_id) & _keys.c.revoked_us.is_(None)
        async with self._database.write() as connection:
            result = await connection.execute(
                update(_keys).where(live).values(revoked_us=_microseconds(datetime.now(UTC)))
            )
        self._forget()
        if result.rowcount == 0:
            raise NoSuchKey(f"{key_id!r} is no live key; `spillway keys list` shows those there are")

    async def find(self, secret: str) -> Caller | None:
        """Whose secret this is; None for an unknown or revoked one. Raises DatabaseUnavailable."""
        if not secret.startswith(PREFIX) or len(secret) > _LONGEST:
            return None
        digest = _hash(secret)
        recent = self._recent.get(digest)
        if recent is not None and self._clock() < recent[0]:
            return recent[1]
        epoch = self._epoch
        caller = await self._look_up(digest)
        if epoch == self._epoch:
            self._remember(digest, caller)
        return caller

    async def by_id(self, key_id: str) -> Caller | None:
        """The owner of a live key, for one who proved before to have its secret; None for an unknown or revoked one."""
        live = (_keys.c.key_id == key_id) & _keys.c.revoked_us.is_(None)
        async with self._database.read() as connection:
            row = (await connection.execute(select(_keys).where(live))).mappings().first()
        return None if row is None else Caller(tenant_id=row["tenant_id"], key_id=row["key_id"], name=row["name"])

    async def _look_up(self, digest: str) -> Caller | None:
        live = (_keys.c.secret_sha256 == digest) & _keys.c.revoked_us.is_(None)
        async with self._database.read() as connection:
            row = (await connection.execute(select(_keys).where(live))).mappings().first()
        if row is None or not hmac.compare_digest(row["secret_sha256"], digest):
            return None
        return Caller(tenant_id=row["tenant_id"], key_id=row["key_id"], name=row["name"])

    def _remember(self, digest: str, caller: Caller | None) -> None:
        self._recent[digest] = (self._clock() + self._remember_s, caller)
        self._recent.move_to_end(digest)
        while len(self._recent) > self._remember_most:
            self._recent.popitem(last=False)

    def _forget(self) -> None:
        self._epoch += 1
        self._recent.clear()


def _hash(secret: str) -> str:
    # 256 random bits need no slow hash: there is no dictionary to try
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _info(row: Mapping[Any, Any]) -> KeyInfo:
    return KeyInfo(
        key_id=row["key_id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        display_prefix=row["display_prefix"],
        created=datetime.fromtimestamp(row["created_us"] / 1_000_000, UTC),
        revoked=None if row["revoked_us"] is None else datetime.fromtimestamp(row["revoked_us"] / 1_000_000, UTC),
    )
