"""Who looks at the dashboard, and what that person may see. Knows roles; knows no cookie and no SQL."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.dashboard.filters import Filters
from gateway.keys import Caller
from gateway.tenancy.scope import Actor, Place, Role

OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """place : None is the operator, who sees everything.   signed_in : False where nobody is asked for a key."""

    key_id: str
    name: str
    place: Place | None
    role: Role = "viewer"
    signed_in: bool = True

    @classmethod
    def of(cls, caller: Caller, *, signed_in: bool = True) -> "Viewer":
        """The owner of a key. One whom nobody asked for a key sees the one tenant that there is then."""
        if not signed_in:
            return cls(key_id=caller.key_id, name=caller.name, place=Place(org_id=caller.tenant_id), signed_in=False)
        return cls(key_id=caller.key_id, name=caller.name, place=caller.place, role=caller.role)

    @property
    def operates(self) -> bool:
        """Whether it may see what the whole installation costs."""
        return self.place is None or not self.signed_in

    @property
    def actor(self) -> Actor:
        """As the law of roles knows it."""
        return Actor(place=self.place, role=self.role)

    @property
    def may_narrow(self) -> tuple[str, ...]:
        """By what of organisation, team and key it may choose."""
        if self.place is None:
            return ("org", "team", "key")
        if self.role == "member":
            return ()
        return ("team", "key") if self.place.team_id is None else ("key",)

    def chosen(self, asked: Filters) -> Filters:
        """What was asked for, without what it cannot choose."""
        may = self.may_narrow
        org, team, key = (asked.org, asked.team, asked.key)
        return replace(
            asked,
            org=org if "org" in may else None,
            team=team if "team" in may else None,
            key=key if "key" in may else None,
        )

    def narrowed(self, asked: Filters) -> Filters:
        """What was asked for, within what it may see: its team or organisation; of members, their own key."""
        if self.place is None:
            return asked
        key = self.place.key_id if self.role == "member" else asked.key
        return replace(asked, org=self.place.org_id, team=self.place.team_id or asked.team, key=key)

    def sees(self, org_id: str, team_id: str | None, key_id: str | None) -> bool:
        """Whether it may see what this key of this team did."""
        if self.place is None:
            return True
        if org_id != self.place.org_id or self.place.team_id not in (None, team_id):
            return False
        return self.role != "member" or key_id == self.place.key_id

    def may_review(self, org_id: str, team_id: str | None, key_id: str | None) -> bool:
        """Whether it may say if an answer is good: the operator, admins, and whoever looks where nobody is asked."""
        if not self.signed_in:
            return self.sees(org_id, team_id, key_id)
        return self.actor.manages(Place(org_id=org_id, team_id=team_id, key_id=key_id))

    def in_words(self, names: Mapping[str, str]) -> str:
        """Whose figures these are. names : of organisations and teams by id, as far as they are known."""
        if self.place is None:
            return "all organisations"
        if self.role == "member":
            return "this key alone"
        own = self.place.team_id
        return f"organisation {self.place.org_id}" if own is None else f"team {names.get(own, own)}"
