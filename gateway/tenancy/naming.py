"""What identifiers of organisations, teams and keys are called. Knows their tables; decides nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, select

from gateway.database import Database
from gateway.tenancy.scope import LEVELS, Place, Scope, TenantLevel
from gateway.tenancy.tables import organisations, teams, virtual_keys

_MOST_ASKED_FOR = 900  # by their ids; of more, all are read
_OF: dict[TenantLevel, tuple[Column[Any], Column[Any]]] = {
    "org": (organisations.c.org_id, organisations.c.name),
    "team": (teams.c.team_id, teams.c.name),
    "key": (virtual_keys.c.key_id, virtual_keys.c.name),
}
_OUTWARD: dict[TenantLevel, tuple[Column[Any], ...]] = {
    "org": (),
    "team": (teams.c.org_id,),
    "key": (virtual_keys.c.tenant_id, virtual_keys.c.team_id),
}


async def names_of(database: Database, level: TenantLevel, ids: Collection[str]) -> dict[str, str]:
    """Their names by id, of those that there are; one statement."""
    if not ids:
        return {}
    key, name = _OF[level]
    query = select(key, name)
    if len(ids) <= _MOST_ASKED_FOR:
        query = query.where(key.in_(sorted(ids)))
    async with database.read() as connection:
        rows = (await connection.execute(query)).all()
    return {row[0]: row[1] for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Where something stands, and what it is called."""

    place: Place
    name: str


async def places_of(database: Database, scopes: Collection[Scope]) -> dict[Scope, Named]:
    """Of those that there are; one statement for each level among them."""
    found: dict[Scope, Named] = {}
    async with database.read() as connection:
        for level in LEVELS:
            ids = {scope.id for scope in scopes if scope.level == level}
            if not ids:
                continue
            key, name = _OF[level]
            query = select(key, name, *_OUTWARD[level])
            if len(ids) <= _MOST_ASKED_FOR:
                query = query.where(key.in_(sorted(ids)))
            for row in (await connection.execute(query)).all():
                scope = Scope(level=level, id=row[0])
                if scope.id in ids:
                    found[scope] = Named(place=_place(scope, *row[2:]), name=row[1])
    return found


def _place(scope: Scope, org_id: str | None = None, team_id: str | None = None) -> Place:
    if scope.level == "org":
        return Place(org_id=scope.id)
    if scope.level == "team":
        return Place(org_id=org_id or "", team_id=scope.id)
    return Place(org_id=org_id or "", team_id=team_id, key_id=scope.id)
