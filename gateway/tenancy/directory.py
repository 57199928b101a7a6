"""Organisations and teams, and how much each scope may ask for: made, listed, closed.

Knows their tables. Decides nothing about who may do so: see ``gateway/admin/office.py``.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.errors import NotFound, RequestError
from gateway.tenancy.scope import Level, Place, RateLimit, Scope
from gateway.tenancy.tables import organisations, rate_limits, teams, virtual_keys
from router.ids import new_id


class AlreadyThere(RequestError):
    """A thing of that name exists."""

    status, code = 409, "already_exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A tenant."""

    org_id: str
    name: str
    created: datetime
    closed: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A part of an organisation."""

    team_id: str
    org_id: str
    name: str
    created: datetime
    closed: datetime | None = None


class Directory:
    """Who there is, in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_organisation(self, org_id: str, name: str) -> Organisation:
        """A new one. Raises AlreadyThere, also where one of this id was closed: its history is kept under the id."""
        row = {"org_id": org_id, "name": name, "created_us": now_us()}
        async with self._database.write() as connection:
            done = await connection.execute(self._database.insert_once(organisations), row)
        if done.rowcount == 0:
            raise AlreadyThere(f"there is an organisation {org_id!r} already, or was", param="id")
        return Organisation(org_id=org_id, name=name, created=moment(now_us()))

    async def organisations(self) -> tuple[Organisation, ...]:
        """Every one, oldest first, closed ones included."""
        query = select(organisations).order_by(organisations.c.created_us, organisations.c.org_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            Organisation(org_id=row.org_id, name=row.name, created=moment(row.created_us), closed=_maybe(row.closed_us))
            for row in rows
        )

    async def close_organisation(self, org_id: str) -> None:
        """Its teams and keys end with it; what it spent stays on record. Raises NotFound."""
        live = (organisations.c.org_id == org_id) & organisations.c.closed_us.is_(None)
        async with self._database.write() as connection:
            done = await connection.execute(update(organisations).where(live).values(closed_us=now_us()))
            if done.rowcount == 0:
                raise NotFound(f"there is no organisation {org_id!r}", code="org_not_found")
            open_teams = (teams.c.org_id == org_id) & teams.c.closed_us.is_(None)
            await connection.execute(update(teams).where(open_teams).values(closed_us=now_us()))
            live_keys = (virtual_keys.c.tenant_id == org_id) & virtual_keys.c.revoked_us.is_(None)
            await connection.execute(update(virtual_keys).where(live_keys).values(revoked_us=now_us()))

    async def open_team(self, org_id: str, name: str) -> Team:
        """A new team. Raises NotFound without the organisation, AlreadyThere if it has a team of this name."""
        team = Team(team_id=new_id("team"), org_id=org_id, name=name, created=moment(now_us()))
        async with self._database.write() as connection:
            await must_be_open(connection, org_id)
            same = (teams.c.org_id == org_id) & (teams.c.name == name) & teams.c.closed_us.is_(None)
            if (await connection.execute(select(teams.c.team_id).where(same))).first() is not None:
                raise AlreadyThere(f"{org_id} has a team {name!r} already", param="name")
            row = {"team_id": team.team_id, "org_id": org_id, "name": name, "created_us": now_us()}
            await connection.execute(insert(teams), row)
        return team

    async def teams(self, org_id: str | None = None) -> tuple[Team, ...]:
        """Every one, or an organisation's, oldest first, closed ones included."""
        query = select(teams).order_by(teams.c.created_us, teams.c.team_id)
        if org_id is not None:
            query = query.where(teams.c.org_id == org_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return tuple(
            Team(
                team_id=row.team_id,
                org_id=row.org_id,
                name=row.name,
                created=moment(row.created_us),
                closed=_maybe(row.closed_us),
            )
            for row in rows
        )

    async def close_team(self, team_id: str) -> None:
        """Its keys end with it. Raises NotFound."""
        live = (teams.c.team_id == team_id) & teams.c.closed_us.is_(None)
        async with self._database.write() as connection:
            done = await connection.execute(update(teams).where(live).values(closed_us=now_us()))
            if done.rowcount == 0:
                raise NotFound(f"there is no team {team_id!r}", code="team_not_found")
            live_keys = (virtual_keys.c.team_id == team_id) & virtual_keys.c.revoked_us.is_(None)
            await connection.execute(update(virtual_keys).where(live_keys).values(revoked_us=now_us()))

    async def place(self, scope: Scope) -> Place:
        """Where a scope stands, closed and revoked ones included. Raises NotFound."""
        async with self._database.read() as connection:
            if scope.level == "org":
                query = select(organisations.c.org_id).where(organisations.c.org_id == scope.id)
                found = (await connection.execute(query)).scalar_one_or_none()
                place = None if found is None else Place(org_id=found)
            elif scope.level == "team":
                row = (await connection.execute(select(teams).where(teams.c.team_id == scope.id))).first()
                place = None if row is None else Place(org_id=row.org_id, team_id=row.team_id)
            else:
                row = (await connection.execute(select(virtual_keys).where(virtual_keys.c.key_id == scope.id))).first()
                place = None if row is None else Place(org_id=row.tenant_id, team_id=row.team_id, key_id=row.key_id)
        if place is None:
            raise NotFound(f"there is no {scope}", code=f"{scope.level}_not_found")
        return place

    async def set_rates(self, limit: RateLimit) -> None:
        """Replace what a scope may ask for; a limit of nothing but None takes it away."""
        at = (rate_limits.c.level == limit.scope.level) & (rate_limits.c.scope_id == limit.scope.id)
        values = {
            "requests_per_minute": limit.requests_per_minute,
            "tokens_per_minute": limit.tokens_per_minute,
            "concurrent": limit.concurrent,
        }
        key = {"level": limit.scope.level, "scope_id": limit.scope.id}
        async with self._database.write() as connection:
            await connection.execute(delete(rate_limits).where(at))
            if any(value is not None for value in values.values()):
                await connection.execute(insert(rate_limits), key | values | {"changed_us": now_us()})

    async def rates(self, scopes: Sequence[Scope] | None = None) -> tuple[RateLimit, ...]:
        """What is limited, of these scopes or of all."""
        async with self._database.read() as connection:
            return await rates_of(connection, scopes)


async def must_be_open(connection: AsyncConnection, org_id: str, team_id: str | None = None) -> None:
    """Raises NotFound if there is no such organisation or team, or it was closed."""
    org = (organisations.c.org_id == org_id) & organisations.c.closed_us.is_(None)
    if (await connection.execute(select(organisations.c.org_id).where(org))).first() is None:
        raise NotFound(f"there is no organisation {org_id!r}; `spillway orgs create` makes one", code="org_not_found")
    if team_id is None:
        return
    team = (teams.c.org_id == org_id) & (teams.c.team_id == team_id) & teams.c.closed_us.is_(None)
    if (await connection.execute(select(teams.c.team_id).where(team))).first() is None:
        raise NotFound(f"{org_id} has no team {team_id!r}; `spillway teams create` makes one", code="team_not_found")


async def rates_of(connection: AsyncConnection, scopes: Sequence[Scope] | None) -> tuple[RateLimit, ...]:
    """The limits of some scopes, or all, outermost first."""
    query = select(rate_limits)
    if scopes is not None:
        query = query.where(rate_limits.c.scope_id.in_([scope.id for scope in scopes]))
    order: dict[Level, int] = {"org": 0, "team": 1, "key": 2}
    found = [
        RateLimit(
            scope=Scope(level=row.level, id=row.scope_id),
            requests_per_minute=row.requests_per_minute,
            tokens_per_minute=row.tokens_per_minute,
            concurrent=row.concurrent,
        )
        for row in (await connection.execute(query)).all()
    ]
    wanted = [limit for limit in found if scopes is None or limit.scope in scopes]
    return tuple(sorted(wanted, key=lambda limit: (order[limit.scope.level], limit.scope.id)))


def now_us() -> int:
    """The microsecond."""
    return time.time_ns() // 1000


def moment(microseconds: int) -> datetime:
    """A stored time."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def _maybe(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else moment(microseconds)
