"""What can be managed of organisations, teams, keys and rates, and by whom: for the command line and the HTTP API.

Knows the law of roles and what makes sense. Speaks no SQL and no HTTP. What an actor may not see does not exist for it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway.errors import Forbidden, InvalidRequest, NotFound
from gateway.keys import KeyInfo, KeyRules, KeyStore, NoSuchKey
from gateway.tenancy.directory import Directory, Organisation, Team
from gateway.tenancy.scope import ROLES, Actor, Place, RateLimit, Scope

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}\*?|\*")
_LONGEST_GRACE = timedelta(days=30)


class Office:
    """Everything that is managed but money: see ``gateway/admin/treasury.py``."""

    def __init__(self, directory: Directory, keys: KeyStore) -> None:
        self._directory, self._keys = directory, keys

    async def place(self, actor: Actor, scope: Scope) -> Place:
        """Where a scope stands. Raises NotFound where there is none that the actor may know of."""
        place = await self._directory.place(scope)
        if not actor.sees(place):
            raise NotFound(f"there is no {scope}", code=f"{scope.level}_not_found")
        return place

    # organisations and teams

    async def open_organisation(self, actor: Actor, org_id: str, name: str | None = None) -> Organisation:
        """Only the operator may."""
        _must_be_operator(actor)
        if not _ID.fullmatch(org_id):
            said = "must be 1 to 64 letters, digits, dots, dashes or underscores, e.g. research"
            raise InvalidRequest(f"an organisation's id {said}", param="id", code="invalid_parameter")
        return await self._directory.open_organisation(org_id, _name("name", name or org_id))

    async def organisations(self, actor: Actor) -> Sequence[Organisation]:
        """Those that the actor sees."""
        return [org for org in await self._directory.organisations() if actor.sees(Place(org_id=org.org_id))]

    async def close_organisation(self, actor: Actor, org_id: str) -> None:
        """With its teams and keys. Only the operator may."""
        _must_be_operator(actor)
        await self._directory.close_organisation(org_id)
        self._keys.forget()

    async def open_team(self, actor: Actor, org_id: str, name: str) -> Team:
        """The operator or an admin of the organisation may."""
        _must(actor.manages(Place(org_id=org_id)), f"make teams in {org_id}")
        return await self._directory.open_team(org_id, _name("name", name))

    async def teams(self, actor: Actor, org_id: str | None = None) -> Sequence[Team]:
        """Those that the actor sees."""
        found = await self._directory.teams(org_id)
        return [team for team in found if actor.sees(Place(org_id=team.org_id, team_id=team.team_id))]

    async def team_of(self, actor: Actor, org_id: str, name_or_id: str) -> Team:
        """An open team by its name or its id. Raises NotFound."""
        for team in await self.teams(actor, org_id):
            if name_or_id in (team.name, team.team_id) and team.closed is None:
                return team
        said = f"{org_id} has no team {name_or_id!r}; `spillway teams create` makes one"
        raise NotFound(said, param="team", code="team_not_found")

    async def close_team(self, actor: Actor, team_id: str) -> None:
        """With its keys. The operator or an admin of the organisation may."""
        place = await self.place(actor, Scope(level="team", id=team_id))
        _must(actor.manages(Place(org_id=place.org_id)), "close this team")
        await self._directory.close_team(team_id)
        self._keys.forget()

    # keys

    async def create_key(self, actor: Actor, name: str, org_id: str, rules: KeyRules) -> tuple[KeyInfo, str]:
        """A key and its secret. An admin gives no key more than it has itself."""
        _must(actor.manages(Place(org_id=org_id, team_id=rules.team_id)), "make keys there")
        await self._check(actor, rules)
        return await self._keys.create(_name("name", name), tenant_id=org_id, rules=rules, must_exist=True)

    async def keys(self, actor: Actor, org_id: str | None = None, team_id: str | None = None) -> Sequence[KeyInfo]:
        """Those that the actor sees, revoked ones included."""
        found = await self._keys.list(tenant_id=org_id)
        return [key for key in found if actor.sees(key.place) and team_id in (None, key.rules.team_id)]

    async def key(self, actor: Actor, key_id: str) -> KeyInfo:
        """One of them. Raises NotFound."""
        try:
            info = await self._keys.get(key_id)
        except NoSuchKey as error:
            raise NotFound(str(error), code="key_not_found") from None
        if not actor.sees(info.place):
            raise NotFound(f"there is no key {key_id!r}", code="key_not_found")
        return info

    async def change_key(self, actor: Actor, key_id: str, rules: KeyRules) -> KeyInfo:
        """Let a key do something else from now on. Nobody changes the key in their own hand."""
        info = await self._managed(actor, key_id)
        if actor.place is not None and actor.place.key_id == key_id:
            raise Forbidden("A key does not change its own rules; another admin's key or the operator may.")
        await self._check(actor, rules)
        await self._keys.change(key_id, rules)
        return replace(info, rules=rules)

    async def rotate_key(self, actor: Actor, key_id: str, grace: timedelta = timedelta(0)) -> str:
        """A new secret; the old one opens a while longer."""
        await self._managed(actor, key_id)
        if not timedelta(0) <= grace <= _LONGEST_GRACE:
            raise InvalidRequest("grace must be between 0 seconds and 30 days", param="grace", code="invalid_parameter")
        return await self._keys.rotate(key_id, grace=grace)

    async def revoke_key(self, actor: Actor, key_id: str) -> None:
        """For good."""
        await self._managed(actor, key_id)
        await self._keys.revoke(key_id)

    # rates

    async def set_rates(self, actor: Actor, limit: RateLimit) -> None:
        """How much a scope may ask for; nothing but None lifts its limits."""
        place = await self.place(actor, limit.scope)
        _must(actor.limits(place), f"change what {limit.scope} may ask for")
        for name in ("requests_per_minute", "tokens_per_minute", "concurrent"):
            value: int | None = getattr(limit, name)
            if value is not None and not 1 <= value < 2**31:
                raise InvalidRequest(f"{name} must be at least 1", param=name, code="invalid_parameter")
        await self._directory.set_rates(limit)
        self._keys.forget()

    async def rates(self, actor: Actor) -> Sequence[RateLimit]:
        """Those that the actor sees."""
        limits = await self._directory.rates()
        return [limit for limit in limits if actor.sees(await self._directory.place(limit.scope))]

    async def _managed(self, actor: Actor, key_id: str) -> KeyInfo:
        info = await self.key(actor, key_id)
        _must(actor.manages(info.place), "change this key")
        if info.revoked is not None:
            raise NotFound(f"{key_id!r} is no live key", code="key_not_found")
        return info

    async def _check(self, actor: Actor, rules: KeyRules) -> None:
        if rules.role not in ROLES:
            raise InvalidRequest(f"role must be one of {', '.join(ROLES)}", param="role", code="invalid_parameter")
        for name in rules.models or ():
            if not _MODEL.fullmatch(name):
                said = "must be names that can be asked for, such as auto, cascade/support or gpt-5*"
                raise InvalidRequest(f"models {said}; {name[:80]!r} is none", param="models", code="invalid_parameter")
        if rules.max_cost_nanousd is not None and rules.max_cost_nanousd < 0:
            raise InvalidRequest("max_cost_usd must not be negative", param="max_cost_usd", code="invalid_parameter")
        if rules.expires is not None and rules.expires <= datetime.now(UTC):
            raise InvalidRequest("expires must lie in the future", param="expires", code="invalid_parameter")
        if actor.place is not None and actor.place.key_id is not None:
            _must_not_exceed((await self._keys.get(actor.place.key_id)).rules, rules)


def _must_not_exceed(own: KeyRules, given: KeyRules) -> None:
    if own.models is not None and (given.models is None or not set(given.models) <= set(own.models)):
        raise Forbidden("An admin's key gives no key more models than its own; name some of those.", param="models")
    if own.max_cost_nanousd is not None and (
        given.max_cost_nanousd is None or given.max_cost_nanousd > own.max_cost_nanousd
    ):
        raise Forbidden("An admin's key gives no key a higher max_cost_usd than its own.", param="max_cost_usd")


def _must_be_operator(actor: Actor) -> None:
    _must(actor.place is None, "do this; it takes the operator's credential")


def _must(permitted: bool, what: str) -> None:
    if not permitted:
        raise Forbidden(f"This credential may not {what}.")


def _name(field: str, value: str) -> str:
    value = value.strip()
    if not value or len(value) > 200 or not value.isprintable():
        raise InvalidRequest(f"{field} must be 1 to 200 printable characters", param=field, code="invalid_parameter")
    return value
