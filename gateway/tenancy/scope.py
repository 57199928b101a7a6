"""Who is who: organisations, their teams, their keys, and what each role may do.

Knows the words and the law of roles. Knows no table and no HTTP.
"""

from dataclasses import dataclass
from typing import Literal

Role = Literal["admin", "member", "viewer"]
ROLES: tuple[Role, ...] = ("admin", "member", "viewer")

TenantLevel = Literal["org", "team", "key"]
LEVELS: tuple[TenantLevel, ...] = ("org", "team", "key")

Level = TenantLevel | Literal["policy"]
"""What can have a budget: a policy has one of the gateway's own, for what it asks in shadow."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Scope:
    """What a budget or a rate limit is for: one organisation, one team or one key, or a policy's shadow."""

    level: Level
    id: str

    def __str__(self) -> str:
        return f"{self.level} {self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands, from the organisation inward. A key of no team stands in its organisation directly."""

    org_id: str
    team_id: str | None = None
    key_id: str | None = None

    @property
    def scope(self) -> Scope:
        """The innermost of its parts."""
        if self.key_id is not None:
            return Scope(level="key", id=self.key_id)
        return Scope(level="org", id=self.org_id) if self.team_id is None else Scope(level="team", id=self.team_id)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Everything whose limits bind what happens here, outermost first."""
        parts: tuple[tuple[TenantLevel, str | None], ...] = (
            ("org", self.org_id),
            ("team", self.team_id),
            ("key", self.key_id),
        )
        return tuple(Scope(level=level, id=part) for level, part in parts if part is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How much a scope may ask for. None: as much as it likes."""

    scope: Scope
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who manages. A key's role holds for its team or, if it has none, for its whole organisation.

    place : None is the operator of the installation, who may do everything.
    """

    place: Place | None = None
    role: Role = "admin"

    def sees(self, place: Place) -> bool:
        """Admins and viewers see what stands in their team or organisation; members what binds their own key."""
        if self.place is None:
            return True
        if self.role == "member":
            return place.scope in self.place.scopes
        return self._holds(place)

    def manages(self, place: Place) -> bool:
        """Admins make, change and revoke what stands in their team or organisation."""
        return self.place is None or (self.role == "admin" and self._holds(place))

    def limits(self, place: Place) -> bool:
        """Admins set budgets and rates of what stands *below* them: nobody raises a limit that binds themselves."""
        if self.place is None:
            return True
        return self.manages(place) and place.scope not in self.place.scopes

    def _holds(self, place: Place) -> bool:
        own = self.place
        return own is None or (own.org_id == place.org_id and own.team_id in (None, place.team_id))
