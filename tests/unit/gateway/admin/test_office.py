"""The office: what may be made, changed and closed by whom, and what ends along with it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.admin.office import Office
from gateway.database import Database
from gateway.errors import Forbidden, InvalidRequest, NotFound, RequestError
from gateway.keys import KeyRules, KeyStore
from gateway.tenancy.directory import AlreadyThere, Directory
from gateway.tenancy.scope import Actor, RateLimit, Scope

OPERATOR = Actor()


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return KeyStore(database)


@pytest.fixture
def office(database: Database, keys: KeyStore) -> Office:
    return Office(Directory(database), keys)


async def admin_of(office: Office, org: str, rules: KeyRules | None = None) -> Actor:
    info, _ = await office.create_key(OPERATOR, "boss", org, replace(rules or KeyRules(), role="admin"))
    return Actor(place=info.place, role="admin")


async def test_closing_an_organisation_or_a_team_ends_its_keys(office: Office, keys: KeyStore) -> None:
    await office.open_organisation(OPERATOR, "acme")
    team = await office.open_team(OPERATOR, "acme", "search")
    _, of_team = await office.create_key(OPERATOR, "a", "acme", KeyRules(team_id=team.team_id))
    _, of_org = await office.create_key(OPERATOR, "b", "acme", KeyRules())
    await office.close_team(OPERATOR, team.team_id)
    assert await keys.find(of_team) is None
    assert await keys.find(of_org) is not None
    with pytest.raises(NotFound, match="no team"):
        await office.create_key(OPERATOR, "a", "acme", KeyRules(team_id=team.team_id))
    await office.close_organisation(OPERATOR, "acme")
    assert await keys.find(of_org) is None
    with pytest.raises(NotFound, match="no organisation"):
        await office.create_key(OPERATOR, "c", "acme", KeyRules())
    with pytest.raises(AlreadyThere):  # what it spent is on record under this id
        await office.open_organisation(OPERATOR, "acme")


async def test_a_name_is_a_team_s_only_while_it_is_open(office: Office) -> None:
    team = await office.open_team(OPERATOR, "default", "search")
    with pytest.raises(AlreadyThere, match="search"):
        await office.open_team(OPERATOR, "default", "search")
    await office.close_team(OPERATOR, team.team_id)
    again = await office.open_team(OPERATOR, "default", "search")
    assert (await office.team_of(OPERATOR, "default", "search")).team_id == again.team_id


async def test_an_admin_stays_at_home(office: Office) -> None:
    await office.open_organisation(OPERATOR, "acme")
    theirs, _ = await office.create_key(OPERATOR, "app", "acme", KeyRules())
    admin = await admin_of(office, "default")
    refused: list[tuple[type[RequestError], Callable[[], Awaitable[object]]]] = [
        (Forbidden, lambda: office.open_organisation(admin, "mine")),
        (Forbidden, lambda: office.close_organisation(admin, "default")),
        (Forbidden, lambda: office.open_team(admin, "acme", "t")),
        (Forbidden, lambda: office.create_key(admin, "k", "acme", KeyRules())),
        (NotFound, lambda: office.key(admin, theirs.key_id)),
        (NotFound, lambda: office.revoke_key(admin, theirs.key_id)),
        (NotFound, lambda: office.rotate_key(admin, theirs.key_id)),
        (NotFound, lambda: office.set_rates(admin, RateLimit(scope=Scope(level="org", id="acme"), concurrent=1))),
        (Forbidden, lambda: office.set_rates(admin, RateLimit(scope=Scope(level="org", id="default")))),
    ]
    for expected, act in refused:
        with pytest.raises(expected):
            await act()
    assert {key.tenant_id for key in await office.keys(admin)} == {"default"}
    assert [org.org_id for org in await office.organisations(admin)] == ["default"]


async def test_an_admin_gives_no_key_more_than_its_own(office: Office) -> None:
    admin = await admin_of(office, "default", KeyRules(models=("small", "auto"), max_cost_nanousd=100))
    for rules in (
        KeyRules(max_cost_nanousd=100),
        KeyRules(models=("large",), max_cost_nanousd=1),
        KeyRules(models=("small",)),
        KeyRules(models=("small",), max_cost_nanousd=101),
    ):
        with pytest.raises(Forbidden, match="than its own"):
            await office.create_key(admin, "k", "default", rules)
    info, _ = await office.create_key(admin, "k", "default", KeyRules(models=("small",), max_cost_nanousd=100))
    with pytest.raises(Forbidden):
        await office.change_key(admin, info.key_id, KeyRules())
    assert admin.place is not None
    assert admin.place.key_id is not None
    with pytest.raises(Forbidden, match="its own rules"):
        await office.change_key(admin, admin.place.key_id, KeyRules(models=("small",), max_cost_nanousd=1))


async def test_a_rotated_key_opens_with_both_secrets_for_a_while(office: Office, keys: KeyStore) -> None:
    info, old = await office.create_key(OPERATOR, "app", "default", KeyRules())
    new = await office.rotate_key(OPERATOR, info.key_id, timedelta(hours=1))
    found = [await keys.find(secret) for secret in (old, new)]
    assert [caller and caller.key_id for caller in found] == [info.key_id] * 2
    newest = await office.rotate_key(OPERATOR, info.key_id)
    assert [await keys.find(secret) is None for secret in (old, new, newest)] == [True, True, False]
    with pytest.raises(InvalidRequest, match="grace"):
        await office.rotate_key(OPERATOR, info.key_id, timedelta(days=31))


async def test_a_key_ends_when_it_was_said_to(office: Office, keys: KeyStore, database: Database) -> None:
    rules = KeyRules(expires=datetime.now(UTC) + timedelta(hours=1))
    info, secret = await office.create_key(OPERATOR, "app", "default", rules)
    assert await keys.find(secret) is not None
    await keys.change(info.key_id, KeyRules(expires=datetime.now(UTC) - timedelta(seconds=1)))
    assert await keys.find(secret) is None
    assert await keys.by_id(info.key_id) is None
    with pytest.raises(InvalidRequest, match="future"):
        await office.create_key(OPERATOR, "app", "default", KeyRules(expires=datetime(2020, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        (KeyRules(models=("no spaces",)), "models"),
        (KeyRules(models=("*x",)), "models"),
        (KeyRules(max_cost_nanousd=-1), "max_cost_usd"),
        (KeyRules(role="boss"), "role"),  # type: ignore[arg-type]  # what the command line may bring
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(office: Office, rules: KeyRules, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await office.create_key(OPERATOR, "app", "default", rules)
    assert refused.value.param == field


async def test_rates_reach_the_caller_from_the_organisation_inward(office: Office, keys: KeyStore) -> None:
    team = await office.open_team(OPERATOR, "default", "search")
    info, secret = await office.create_key(OPERATOR, "app", "default", KeyRules(team_id=team.team_id))
    of_key = RateLimit(scope=Scope(level="key", id=info.key_id), concurrent=2)
    of_org = RateLimit(scope=Scope(level="org", id="default"), requests_per_minute=60, tokens_per_minute=1000)
    await office.set_rates(OPERATOR, of_key)
    await office.set_rates(OPERATOR, of_org)
    await office.set_rates(OPERATOR, RateLimit(scope=Scope(level="team", id=team.team_id), concurrent=9))
    await office.set_rates(OPERATOR, RateLimit(scope=Scope(level="team", id=team.team_id)))  # lifted again
    caller = await keys.find(secret)
    assert caller is not None
    assert caller.rates == (of_org, of_key)
    assert caller.team_id == team.team_id
    with pytest.raises(InvalidRequest, match="concurrent"):
        await office.set_rates(OPERATOR, replace(of_key, concurrent=0))
    with pytest.raises(NotFound, match="team nowhere"):
        await office.set_rates(OPERATOR, RateLimit(scope=Scope(level="team", id="nowhere"), concurrent=1))


@pytest.mark.parametrize(
    ("models", "asked", "may"),
    [
        (None, ("large",), True),
        (("small",), ("small",), True),
        (("small",), ("large",), False),
        (("gpt-5*",), ("gpt-5-mini",), True),
        (("gpt-5*",), ("gpt-4",), False),
        (("cascade/default",), ("auto", "cascade/default"), True),
        ((), ("auto",), False),
    ],
)
async def test_a_key_may_ask_for_what_it_names(
    office: Office, keys: KeyStore, models: tuple[str, ...] | None, asked: tuple[str, ...], may: bool
) -> None:
    _, secret = await office.create_key(OPERATOR, "app", "default", KeyRules(models=models))
    caller = await keys.find(secret)
    assert caller is not None
    assert caller.may_ask_for(*asked) is may
