"""/admin: organisations, teams, keys and rates over HTTP, for the operator and for keys that have a role.

Knows bodies and credentials. What may be done by whom is in ``gateway/admin/office.py``.
"""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.admin import told
from gateway.admin.office import Office
from gateway.amounts import nanousd_of
from gateway.errors import InvalidKey, InvalidRequest
from gateway.keys import DEFAULT_TENANT, Caller, KeyRules, KeyStore
from gateway.routes.observed import notes
from gateway.tenancy.scope import Actor, RateLimit, Role, Scope, TenantLevel

Usd = Annotated[int, BeforeValidator(lambda value: nanousd_of(_exact(value)))]
"""An amount as a client writes it, ``"12.50"`` or ``12``, and as it is kept: whole nano-USD."""


class Body(BaseModel):
    """Base of what is sent: nothing unknown is accepted."""

    model_config = ConfigDict(extra="forbid")


class NewOrganisation(Body):
    """POST /admin/orgs"""

    id: str
    name: str | None = None


class NewTeam(Body):
    """POST /admin/teams"""

    name: str
    org: str = DEFAULT_TENANT


class Rules(Body):
    """PATCH /admin/keys/{id}: what is not sent stays, null lifts a limit."""

    role: Role | None = None
    models: list[str] | None = None
    max_cost_usd: Usd | None = None
    expires: datetime | None = None


class NewKey(Rules):
    """POST /admin/keys"""

    name: str
    org: str = DEFAULT_TENANT
    team: str | None = None


class Rotation(Body):
    """POST /admin/keys/{id}/rotate"""

    grace_s: float = Field(default=0, ge=0, allow_inf_nan=False, le=10**8)


class Rates(Body):
    """PUT /admin/limits/{level}/{id}"""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None


class AdminAuth:
    """token : the operator's, which may change.   keys : whose roles count; None where nobody is asked for a key."""

    def __init__(self, token: str | None, keys: KeyStore | None) -> None:
        self.token, self._keys = token, keys

    async def actor(self, request: Request) -> Actor:
        """Who manages. Raises InvalidKey."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise InvalidKey("Send Authorization: Bearer, with admin.token of the configuration or a key with a role.")
        if self.token is not None and hmac.compare_digest(secret.encode(), self.token.encode()):
            return Actor()
        caller = None if self._keys is None else await self._keys.find(secret)
        if caller is None:
            raise InvalidKey("This credential is not known here, has expired, or was revoked.")
        notes(request.scope)["key_id"] = caller.key_id
        return actor_of(caller)


def actor_of(caller: Caller) -> Actor:
    """What a key may manage."""
    return Actor(place=caller.place, role=caller.role)


def admin_router(auth: AdminAuth, office: Office) -> APIRouter:
    """Who there is and what each may do."""
    router = APIRouter(prefix="/admin", tags=["admin"])
    _add_organisations(router, auth, office)
    _add_keys(router, auth, office)
    _add_rates(router, auth, office)
    return router


def _add_organisations(router: APIRouter, auth: AdminAuth, office: Office) -> None:
    @router.get("/orgs")
    async def orgs(request: Request) -> dict[str, Any]:
        """Organisations, closed ones included."""
        found = await office.organisations(await auth.actor(request))
        return {"data": [told.organisation(org) for org in found]}

    @router.post("/orgs", status_code=201)
    async def open_org(request: Request, body: NewOrganisation) -> dict[str, Any]:
        """Make an organisation."""
        return told.organisation(await office.open_organisation(await auth.actor(request), body.id, body.name))

    @router.delete("/orgs/{org_id}", status_code=204)
    async def close_org(request: Request, org_id: str) -> Response:
        """Close one, with its teams and keys; what it spent stays on record."""
        await office.close_organisation(await auth.actor(request), org_id)
        return Response(status_code=204)

    @router.get("/teams")
    async def teams(request: Request, org: str | None = None) -> dict[str, Any]:
        """Teams, closed ones included."""
        found = await office.teams(await auth.actor(request), org)
        return {"data": [told.team(team) for team in found]}

    @router.post("/teams", status_code=201)
    async def open_team(request: Request, body: NewTeam) -> dict[str, Any]:
        """Make a team."""
        return told.team(await office.open_team(await auth.actor(request), body.org, body.name))

    @router.delete("/teams/{team_id}", status_code=204)
    async def close_team(request: Request, team_id: str) -> Response:
        """Close one, with its keys."""
        await office.close_team(await auth.actor(request), team_id)
        return Response(status_code=204)


def _add_keys(router: APIRouter, auth: AdminAuth, office: Office) -> None:
    @router.get("/keys")
    async def keys(request: Request, org: str | None = None, team: str | None = None) -> dict[str, Any]:
        """Keys, without their secrets, revoked ones included."""
        found = await office.keys(await auth.actor(request), org, team)
        return {"data": [told.key(info) for info in found]}

    @router.post("/keys", status_code=201)
    async def create_key(request: Request, body: NewKey) -> dict[str, Any]:
        """Make a key. ``secret`` is told here and never again."""
        actor = await auth.actor(request)
        team_id = None if body.team is None else (await office.team_of(actor, body.org, body.team)).team_id
        rules = _rules(KeyRules(team_id=team_id), body)
        info, secret = await office.create_key(actor, body.name, body.org, rules)
        return told.key(info) | {"secret": secret}

    @router.get("/keys/{key_id}")
    async def key(request: Request, key_id: str) -> dict[str, Any]:
        """One key."""
        return told.key(await office.key(await auth.actor(request), key_id))

    @router.patch("/keys/{key_id}")
    async def change_key(request: Request, key_id: str, body: Rules) -> dict[str, Any]:
        """Change what a key may do."""
        actor = await auth.actor(request)
        rules = _rules((await office.key(actor, key_id)).rules, body)
        return told.key(await office.change_key(actor, key_id, rules))

    @router.post("/keys/{key_id}/rotate")
    async def rotate_key(request: Request, key_id: str, body: Rotation | None = None) -> dict[str, Any]:
        """A new ``secret``, told here and never again; the old one opens for ``grace_s`` more seconds."""
        grace = timedelta(seconds=0 if body is None else body.grace_s)
        return {"id": key_id, "secret": await office.rotate_key(await auth.actor(request), key_id, grace)}

    @router.delete("/keys/{key_id}", status_code=204)
    async def revoke_key(request: Request, key_id: str) -> Response:
        """Revoke a key for good."""
        await office.revoke_key(await auth.actor(request), key_id)
        return Response(status_code=204)


def _add_rates(router: APIRouter, auth: AdminAuth, office: Office) -> None:
    @router.get("/limits")
    async def rates(request: Request) -> dict[str, Any]:
        """Every organisation, team and key whose rates are limited."""
        return {"data": [told.rates(limit) for limit in await office.rates(await auth.actor(request))]}

    @router.put("/limits/{level}/{scope_id}")
    async def set_rates(request: Request, level: TenantLevel, scope_id: str, body: Rates) -> dict[str, Any]:
        """Say how much it may ask for, in place of what was said before; nothing at all lifts its limits."""
        limit = RateLimit(scope=Scope(level=level, id=scope_id), **body.model_dump())
        await office.set_rates(await auth.actor(request), limit)
        return told.rates(limit)


def _rules(old: KeyRules, body: Rules) -> KeyRules:
    given = body.model_dump(include=body.model_fields_set & set(Rules.model_fields))
    expires: datetime | None = given.get("expires", old.expires)
    if "role" in given and given["role"] is None:
        raise InvalidRequest("role must be admin, member or viewer", param="role", code="invalid_parameter")
    return KeyRules(
        team_id=old.team_id,
        role=given.get("role", old.role),
        models=old.models if "models" not in given else None if given["models"] is None else tuple(given["models"]),
        max_cost_nanousd=given.get("max_cost_usd", old.max_cost_nanousd),
        expires=expires if expires is None or expires.tzinfo else expires.replace(tzinfo=UTC),
    )


def _exact(value: object) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError('write it as a string of digits, such as "12.50": a JSON number is not exact')  # noqa: TRY004 - pydantic wants it
    return value
