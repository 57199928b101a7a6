"""What is told of organisations, teams, keys and rates: the same as JSON by the command line and by the HTTP API.

Knows names and formats: times are ISO 8601 in UTC, amounts decimal strings of US dollars.
"""

from datetime import UTC, datetime
from typing import Any

from gateway.keys import KeyInfo
from gateway.ledger.entry import usd
from gateway.tenancy.directory import Organisation, Team
from gateway.tenancy.scope import RateLimit


def organisation(org: Organisation) -> dict[str, Any]:
    """One organisation."""
    return {"id": org.org_id, "name": org.name, "created": iso(org.created), "closed": iso(org.closed)}


def team(found: Team) -> dict[str, Any]:
    """One team."""
    own = {"id": found.team_id, "org": found.org_id, "name": found.name}
    return own | {"created": iso(found.created), "closed": iso(found.closed)}


def key(info: KeyInfo) -> dict[str, Any]:
    """One key, without its secret."""
    rules = info.rules
    return {
        "id": info.key_id,
        "name": info.name,
        "org": info.tenant_id,
        "team": rules.team_id,
        "role": rules.role,
        "prefix": info.display_prefix,
        "models": None if rules.models is None else list(rules.models),
        "max_cost_usd": None if rules.max_cost_nanousd is None else usd(rules.max_cost_nanousd),
        "created": iso(info.created),
        "expires": iso(rules.expires),
        "revoked": iso(info.revoked),
        "state": state(info),
    }


def state(info: KeyInfo) -> str:
    """In a word: live, expired or revoked."""
    if info.revoked is not None:
        return "revoked"
    return "expired" if info.rules.expires is not None and info.rules.expires <= datetime.now(UTC) else "live"


def rates(limit: RateLimit) -> dict[str, Any]:
    """One scope's rates."""
    return {
        "level": limit.scope.level,
        "id": limit.scope.id,
        "requests_per_minute": limit.requests_per_minute,
        "tokens_per_minute": limit.tokens_per_minute,
        "concurrent": limit.concurrent,
    }


def iso(moment: datetime | None) -> str | None:
    """A time."""
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
