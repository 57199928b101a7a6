"""``spillway orgs``, ``teams``, ``keys`` and ``limits``: who may call, and how much.

Knows options and words. What is done, and whether it makes sense, is in ``gateway/admin/office.py``.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gateway.admin import told
from gateway.admin.office import Office
from gateway.admin.visit import show, visit
from gateway.amounts import nanousd_of
from gateway.errors import GatewayError, InvalidRequest
from gateway.keys import DEFAULT_TENANT, KeyInfo, KeyRules, KeyStore
from gateway.options import DEFAULT_CONFIG, ConfigOption
from gateway.tenancy.directory import Directory
from gateway.tenancy.scope import LEVELS, Actor, RateLimit, Scope, TenantLevel

T = TypeVar("T")
OPERATOR = Actor()
_SPAN = re.compile(r"(\d{1,6})\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

app = typer.Typer()
orgs = typer.Typer(help="Organisations: none sees another's answers, decisions or spend.", no_args_is_help=True)
teams = typer.Typer(help="Teams of an organisation, with keys, budgets and limits of their own.", no_args_is_help=True)
keys = typer.Typer(
    help="Create, list, change, rotate and revoke the keys that clients call with.", no_args_is_help=True
)
limits = typer.Typer(help="How much an organisation, a team or a key may ask for.", no_args_is_help=True)
for group, name in ((orgs, "orgs"), (teams, "teams"), (keys, "keys"), (limits, "limits")):
    app.add_typer(group, name=name)

OrgOption = Annotated[str, typer.Option("--org", "--tenant", help="The organisation's id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON, with everything.")]
LevelArgument = Annotated[TenantLevel, typer.Argument(help="org, team or key")]
NameArgument = Annotated[str, typer.Argument(help="What it is for, e.g. the app's name.")]


def in_office(config: Path, act: Callable[[Office], Awaitable[T]]) -> T:
    """One visit of the operator's."""
    return visit(config, lambda database: act(Office(Directory(database), KeyStore(database))))


@orgs.command("create")
def orgs_create(
    org_id: Annotated[str, typer.Argument(metavar="ID", help="Its id for good, e.g. research.")],
    name: Annotated[str | None, typer.Option(help="How it is called; default: its id.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Make an organisation."""
    org = in_office(config, lambda office: office.open_organisation(OPERATOR, org_id, name))
    typer.echo(f"{org.org_id} is an organisation; `spillway keys create NAME --org {org.org_id}` makes it a key.")


@orgs.command("list")
def orgs_list(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List organisations."""
    found = in_office(config, lambda office: office.organisations(OPERATOR))
    rows = [told.organisation(org) for org in found]
    show(rows, ("id", "name", "created", "closed"), as_json=as_json, nothing="There are no organisations yet.")


@orgs.command("close")
def orgs_close(org_id: Annotated[str, typer.Argument(metavar="ID")], config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Close an organisation for good, with its teams and keys. What it spent stays on record."""
    in_office(config, lambda office: office.close_organisation(OPERATOR, org_id))
    typer.echo(f"{org_id} is closed; its keys stop within seconds.")


@teams.command("create")
def teams_create(name: NameArgument, org: OrgOption = DEFAULT_TENANT, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Make a team and print its id."""
    typer.echo(in_office(config, lambda office: office.open_team(OPERATOR, org, name)).team_id)


@teams.command("list")
def teams_list(
    org: Annotated[str | None, typer.Option("--org", help="Of this organisation only.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List teams."""
    rows = [told.team(found) for found in in_office(config, lambda office: office.teams(OPERATOR, org))]
    show(rows, ("id", "org", "name", "created", "closed"), as_json=as_json, nothing="There are no teams.")


@teams.command("close")
def teams_close(team_id: Annotated[str, typer.Argument(metavar="ID")], config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Close a team for good, with its keys."""
    in_office(config, lambda office: office.close_team(OPERATOR, team_id))
    typer.echo(f"{team_id} is closed; its keys stop within seconds.")


RoleOption = Annotated[str, typer.Option(help="member calls models; viewer only looks; admin also manages.")]
ModelsOption = Annotated[
    list[str] | None, typer.Option("--model", help="A name that it may ask for (repeat; * at the end); default: all.")
]
MaxCostOption = Annotated[str | None, typer.Option("--max-cost", help="USD that one request may cost at most.")]
ExpiresOption = Annotated[str | None, typer.Option(help="When it ends: 90d, 12h, or 2027-01-31T12:00 (UTC).")]


@keys.command("create")
def keys_create(
    name: NameArgument,
    org: OrgOption = DEFAULT_TENANT,
    team: Annotated[str | None, typer.Option(help="A team of it, by name or id.")] = None,
    role: RoleOption = "member",
    model: ModelsOption = None,
    max_cost: MaxCostOption = None,
    expires: ExpiresOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Create a key and print its secret, once."""
    rules = _changed(KeyRules(), role, model, max_cost, expires)

    async def create(office: Office) -> tuple[KeyInfo, str]:
        team_id = None if team is None else (await office.team_of(OPERATOR, org, team)).team_id
        return await office.create_key(OPERATOR, name, org, replace(rules, team_id=team_id))

    info, secret = in_office(config, create)
    typer.echo(f"{info.key_id} is for {info.name}. Its secret is shown once, here:", err=True)
    typer.echo(secret)


@keys.command("list")
def keys_list(
    org: Annotated[str | None, typer.Option("--org", "--tenant", help="Of this organisation only.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List keys, never their secrets."""
    rows = [told.key(info) for info in in_office(config, lambda office: office.keys(OPERATOR, org))]
    columns = ("id", "name", "org", "team", "role", "prefix", "created", "expires", "state")
    show(rows, columns, as_json=as_json, nothing="There are no keys yet; `spillway keys create NAME` makes one.")


@keys.command("set")
def keys_set(
    key_id: str,
    role: Annotated[str | None, typer.Option(help="member, viewer or admin.")] = None,
    model: ModelsOption = None,
    all_models: Annotated[bool, typer.Option("--all-models", help="Let it ask for everything again.")] = False,
    max_cost: MaxCostOption = None,
    expires: ExpiresOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Change what a key may do; what is not given stays. A running gateway hears of it within seconds."""

    async def change(office: Office) -> None:
        old = (await office.key(OPERATOR, key_id)).rules
        rules = _changed(old, role or old.role, model or None, max_cost, expires)
        await office.change_key(OPERATOR, key_id, replace(rules, models=None) if all_models else rules)

    in_office(config, change)
    typer.echo(f"{key_id} is changed.")


@keys.command("rotate")
def keys_rotate(
    key_id: str,
    grace: Annotated[str, typer.Option(help="For how long the old secret still opens: 0s, 24h, 7d.")] = "0s",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Give a key a new secret and print it, once."""
    span = _span("--grace", grace)
    secret = in_office(config, lambda office: office.rotate_key(OPERATOR, key_id, span))
    typer.echo(f"The old secret of {key_id} opens for {grace}. The new one is shown once, here:", err=True)
    typer.echo(secret)


@keys.command("revoke")
def keys_revoke(key_id: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Revoke a key for good."""
    in_office(config, lambda office: office.revoke_key(OPERATOR, key_id))
    typer.echo(f"{key_id} is revoked; a running gateway stops accepting it within seconds.")


@limits.command("set")
def limits_set(
    level: LevelArgument,
    scope_id: Annotated[str, typer.Argument(metavar="ID")],
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, help="Tokens per minute.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Requests at once.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Say how much a scope may ask for, in place of what was said before. Without options its limits are lifted."""
    limit = RateLimit(
        scope=Scope(level=level, id=scope_id), requests_per_minute=rpm, tokens_per_minute=tpm, concurrent=concurrent
    )
    in_office(config, lambda office: office.set_rates(OPERATOR, limit))
    typer.echo(f"The limits of {limit.scope} are set; a running gateway hears of them within seconds.")


@limits.command("list")
def limits_list(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List what is limited."""
    rows = [told.rates(limit) for limit in in_office(config, lambda office: office.rates(OPERATOR))]
    columns = ("level", "id", "requests_per_minute", "tokens_per_minute", "concurrent")
    show(rows, columns, as_json=as_json, nothing=f"No {', '.join(LEVELS)} is limited.")


def amount(option: str, written: str) -> int:
    """An option in US dollars as nano-USD. Raises GatewayError."""
    try:
        return nanousd_of(written)
    except ValueError as error:
        raise GatewayError(f"{option}: {error}") from None


def _changed(
    rules: KeyRules, role: str, models: list[str] | None, max_cost: str | None, expires: str | None
) -> KeyRules:
    given: dict[str, Any] = {"role": role}
    if models is not None:
        given["models"] = tuple(models)
    if max_cost is not None:
        given["max_cost_nanousd"] = amount("--max-cost", max_cost)
    if expires is not None:
        given["expires"] = _moment("--expires", expires)
    return replace(rules, **given)


def _span(option: str, written: str) -> timedelta:
    found = _SPAN.fullmatch(written.strip())
    if found is None:
        raise InvalidRequest(f"{option}: {written!r} is no span of time; 30m, 24h or 7d would be right")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _moment(option: str, written: str) -> datetime:
    if _SPAN.fullmatch(written.strip()):
        return datetime.now(UTC) + _span(option, written)
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise InvalidRequest(f"{option}: {written!r} is neither a span such as 90d nor a moment") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
