"""Virtual keys: made, listed, rotated, revoked and recognised. Only a hash of a key's secret is kept.

Knows the table of keys and a short memory of recent look-ups. Knows no HTTP and no budget.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database, DatabaseUnavailable
from gateway.errors import GatewayError
from gateway.tenancy.directory import must_be_open, rates_of
from gateway.tenancy.scope import Place, RateLimit, Role
from gateway.tenancy.tables import organisations
from gateway.tenancy.tables import virtual_keys as _keys
from router.ids import new_id

PREFIX = "sk-spw-"
DEFAULT_TENANT = "default"
_RECOGNISABLE = len(PREFIX) + 6  # of 43 random characters, 6 tell keys apart and leave 37 to guess
_LONGEST = 256
_TRUSTED_IN_OUTAGE_S = 600.0  # while the database is away, nobody can revoke a key either
_PATIENCE_S = 2.0  # every request waits for this look-up


class NoSuchKey(GatewayError):
    """No key has that id, or it was revoked before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRules:
    """What a key may do.

    models : the names that it may ask for, ``*`` at the end standing for any ending; None for every one.
    max_cost_nanousd : of one request, all its calls together.
    """

    team_id: str | None = None
    role: Role = "member"
    models: tuple[str, ...] | None = None
    max_cost_nanousd: int | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """What may be shown of a key."""

    key_id: str
    tenant_id: str
    name: str
    display_prefix: str  # the secret's first characters
    created: datetime
    revoked: datetime | None = None
    rules: KeyRules = KeyRules()

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(org_id=self.tenant_id, team_id=self.rules.team_id, key_id=self.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and what it may. rates : of its organisation, its team and itself."""

    tenant_id: str
    key_id: str
    name: str
    team_id: str | None = None
    role: Role = "member"
    models: tuple[str, ...] | None = None
    max_cost_nanousd: int | None = None
    rates: tuple[RateLimit, ...] = ()

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(org_id=self.tenant_id, team_id=self.team_id, key_id=self.key_id)

    def may_ask_for(self, *names: str) -> bool:
        """Whether any of these names of one and the same thing is open to it."""
        if self.models is None:
            return True
        return any(
            name.startswith(allowed[:-1]) if allowed.endswith("*") else name == allowed
            for name in names
            for allowed in self.models
        )


class KeyStore:
    """The keys of one database.

    remember_s : for how long a look-up is trusted. A revoked key stops at once in the process that revoked it and
        within this time in every other, and so it is with a change of its rules or rates; a new key begins at once,
        unless its secret was tried before it existed.
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
        self._away_until = 0.0  # so long a database that did not answer is not asked again by those who can do without
        self._epoch = 0  # raised by every change here: an answer read before a change is not remembered after it

    async def create(
        self, name: str, *, tenant_id: str = DEFAULT_TENANT, rules: KeyRules | None = None, must_exist: bool = False
    ) -> tuple[KeyInfo, str]:
        """A new key and its secret, which is never to be had again.

        must_exist : refuse (NotFound) where there is no such organisation, which is otherwise opened along with the
            key. The team must exist in any case.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        info = KeyInfo(
            key_id=new_id("key"),
            tenant_id=tenant_id,
            name=name,
            display_prefix=secret[:_RECOGNISABLE],
            created=datetime.now(UTC),
            rules=rules or KeyRules(),
        )
        created_us = _microseconds(info.created)
        row = {
            "key_id": info.key_id,
            "tenant_id": info.tenant_id,
            "name": info.name,
            "display_prefix": info.display_prefix,
            "secret_sha256": _hash(secret),
            "created_us": created_us,
            "team_id": info.rules.team_id,
            **_columns(info.rules),
        }
        async with self._database.write() as connection:
            if not must_exist:
                org = {"org_id": tenant_id, "name": tenant_id, "created_us": created_us}
                await connection.execute(self._database.insert_once(organisations), org)
            await must_be_open(connection, tenant_id, info.rules.team_id)
            await connection.execute(insert(_keys), row)
        self.forget()
        return info, secret

    async def list(self, *, tenant_id: str | None = None) -> tuple[KeyInfo, ...]:
        """All keys, or a tenant's, oldest first, revoked ones included."""
        query = select(_keys).order_by(_keys.c.created_us, _keys.c.key_id)
        if tenant_id is not None:
            query = query.where(_keys.c.tenant_id == tenant_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return tuple(_info(row) for row in rows)

    async def get(self, key_id: str) -> KeyInfo:
        """One key, revoked or not. Raises NoSuchKey."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(_keys).where(_keys.c.key_id == key_id))).mappings().first()
        if row is None:
            raise NoSuchKey(f"there is no key {key_id!r}; `spillway keys list` shows those there are")
        return _info(row)

    async def change(self, key_id: str, rules: KeyRules) -> None:
        """Let a live key do this from now on; its team stays. Raises NoSuchKey."""
        await self._update(key_id, _columns(rules))

    async def rotate(self, key_id: str, *, grace: timedelta = timedelta(0)) -> str:
        """A new secret for a key; the old one opens for as long as ``grace``. Raises NoSuchKey."""
        secret = PREFIX + secrets.token_urlsafe(32)
        until = datetime.now(UTC) + grace
        values = {
            "previous_sha256": _keys.c.secret_sha256,
            "previous_until_us": _microseconds(until),
            "secret_sha256": _hash(secret),
            "display_prefix": secret[:_RECOGNISABLE],
        }
        await self._update(key_id, values)
        return secret

    async def revoke(self, key_id: str) -> None:
        """Let a key open nothing from now on. Raises NoSuchKey."""
        await self._update(key_id, {"revoked_us": _microseconds(datetime.now(UTC))})

    async def find(self, secret: str) -> Caller | None:
        """Whose secret this is; None for one that is unknown, revoked or has expired. Raises DatabaseUnavailable."""
        if not secret.startswith(PREFIX) or len(secret) > _LONGEST:
            return None
        digest = _hash(secret)
        recent = self._recent.get(digest)
        if recent is not None and self._clock() < recent[0]:
            return recent[1]
        trusted = recent is not None and self._clock() <= recent[0] + _TRUSTED_IN_OUTAGE_S
        if recent is not None and trusted and self._clock() < self._away_until:
            return recent[1]
        epoch = self._epoch
        try:
            caller = await self._look_up(digest)
        except DatabaseUnavailable:
            self._away_until = self._clock() + self._remember_s
            if recent is None or not trusted:
                raise
            return recent[1]
        if epoch == self._epoch:
            self._remember(digest, caller)
        return caller

    async def by_id(self, key_id: str) -> Caller | None:
        """The owner of a live key, for one who proved before to have its secret; None for an unknown or revoked one.

        For one who only looks: how much the key may ask for is not told.
        """
        async with self._database.read() as connection:
            return await self._live(connection, _keys.c.key_id == key_id)

    async def _look_up(self, digest: str) -> Caller | None:
        now_us = _microseconds(datetime.now(UTC))
        previous = (_keys.c.previous_sha256 == digest) & (_keys.c.previous_until_us > now_us)
        async with self._database.read(_PATIENCE_S) as connection:
            return await self._caller(connection, or_(_keys.c.secret_sha256 == digest, previous))

    async def _caller(self, connection: AsyncConnection, which: ColumnElement[bool]) -> Caller | None:
        caller = await self._live(connection, which)
        return None if caller is None else replace(caller, rates=await rates_of(connection, caller.place.scopes))

    async def _live(self, connection: AsyncConnection, which: ColumnElement[bool]) -> Caller | None:
        now_us = _microseconds(datetime.now(UTC))
        live = _keys.c.revoked_us.is_(None) & or_(_keys.c.expires_us.is_(None), _keys.c.expires_us > now_us)
        row = (await connection.execute(select(_keys).where(which, live))).mappings().first()
        if row is None:
            return None
        info = _info(row)
        return Caller(
            tenant_id=info.tenant_id,
            key_id=info.key_id,
            name=info.name,
            team_id=info.rules.team_id,
            role=info.rules.role,
            models=info.rules.models,
            max_cost_nanousd=info.rules.max_cost_nanousd,
        )

    async def _update(self, key_id: str, values: Mapping[str, Any]) -> None:
        live = (_keys.c.key_id == key_id) & _keys.c.revoked_us.is_(None)
        async with self._database.write() as connection:
            result = await connection.execute(update(_keys).where(live).values(values))
        self.forget()
        if result.rowcount == 0:
            raise NoSuchKey(f"{key_id!r} is no live key; `spillway keys list` shows those there are")

    def _remember(self, digest: str, caller: Caller | None) -> None:
        self._recent[digest] = (self._clock() + self._remember_s, caller)
        self._recent.move_to_end(digest)
        while len(self._recent) > self._remember_most:
            self._recent.popitem(last=False)

    def forget(self) -> None:
        """Look everything up anew: something has changed."""
        self._epoch += 1
        self._recent.clear()


def _hash(secret: str) -> str:
    # 256 random bits need no slow hash: there is no dictionary to try
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def _columns(rules: KeyRules) -> dict[str, Any]:
    return {
        "role": rules.role,
        "models": None if rules.models is None else orjson.dumps(rules.models).decode(),
        "max_cost_nanousd": rules.max_cost_nanousd,
        "expires_us": None if rules.expires is None else _microseconds(rules.expires),
    }


def _info(row: Mapping[Any, Any]) -> KeyInfo:
    rules = KeyRules(
        team_id=row["team_id"],
        role=row["role"],
        models=None if row["models"] is None else tuple(orjson.loads(row["models"])),
        max_cost_nanousd=row["max_cost_nanousd"],
        expires=_moment(row["expires_us"]),
    )
    return KeyInfo(
        key_id=row["key_id"],
        tenant_id=row["tenant_id"],
        name=row["name"],
        display_prefix=row["display_prefix"],
        created=datetime.fromtimestamp(row["created_us"] / 1_000_000, UTC),
        revoked=_moment(row["revoked_us"]),
        rules=rules,
    )
