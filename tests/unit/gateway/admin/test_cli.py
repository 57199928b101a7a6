"""The operator's commands, as they are typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import cli
from gateway.errors import GatewayError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spillway.yaml").write_text("models: [{name: a, backend: hosted}]\n")
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    arguments = [*words, "--config", str(folder / "spillway.yaml")]
    result = CliRunner().invoke(cli.build(arguments), arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_from_an_organisation_to_a_key_and_back(folder: Path) -> None:
    run(folder, "orgs", "create", "acme", "--name", "Acme Inc.")
    team = run(folder, "teams", "create", "search", "--org", "acme").stdout.strip()
    rules = ["--model", "auto", "--model", "small*", "--max-cost", "0.25", "--expires", "90d"]
    made = run(folder, "keys", "create", "app", "--org", "acme", "--team", "search", *rules)
    secret = made.stdout.strip().splitlines()[-1]
    assert secret.startswith("sk-spw-")
    (key,) = json.loads(run(folder, "keys", "list", "--json").stdout)
    assert (key["org"], key["team"], key["role"], key["state"]) == ("acme", team, "member", "live")
    assert (key["models"], key["max_cost_usd"]) == (["auto", "small*"], "0.25")
    assert key["expires"] is not None
    run(folder, "keys", "set", key["id"], "--all-models", "--role", "viewer")
    (changed,) = json.loads(run(folder, "keys", "list", "--json").stdout)
    assert (changed["models"], changed["role"], changed["max_cost_usd"]) == (None, "viewer", "0.25")
    rotated = run(folder, "keys", "rotate", key["id"], "--grace", "24h").stdout.strip().splitlines()[-1]
    assert rotated.startswith("sk-spw-")
    assert rotated != secret
    run(folder, "limits", "set", "key", key["id"], "--rpm", "60", "--concurrent", "4")
    assert key["id"] in run(folder, "limits", "list").stdout
    run(folder, "teams", "close", team)
    assert "revoked" in run(folder, "keys", "list").stdout
    run(folder, "orgs", "close", "acme")
    closed = {org["id"]: org["closed"] for org in json.loads(run(folder, "orgs", "list", "--json").stdout)}
    assert closed["default"] is None
    assert closed["acme"] is not None


def test_budgets_are_set_changed_listed_and_removed(folder: Path) -> None:
    run(folder, "orgs", "create", "acme")
    budget = run(
        folder, "budgets", "set", "org", "acme", "0.000000001", "--period", "daily", "--alert", "80"
    ).stdout.strip()
    soft = run(folder, "budgets", "set", "org", "acme", "5", "--soft", "--paced").stdout.strip()
    assert run(folder, "budgets", "set", "org", "acme", "2.5", "--period", "daily").stdout.strip() == budget
    found = {row["id"]: row for row in json.loads(run(folder, "budgets", "list", "--json").stdout)}
    assert set(found) == {budget, soft}
    assert (found[budget]["kind"], found[budget]["limit_usd"], found[budget]["left_usd"]) == ("hard", "2.5", "2.5")
    assert found[budget]["alert_percents"] == [50, 80, 100]
    assert (found[soft]["kind"], found[soft]["period"], found[soft]["paced"]) == ("soft", "monthly", True)
    assert "acme" in run(folder, "budgets", "list").stdout
    assert run(folder, "budgets", "alerts").stdout == "No threshold was reached.\n"
    assert "binds nobody any more" in run(folder, "budgets", "remove", budget).stdout
    assert [row["id"] for row in json.loads(run(folder, "budgets", "list", "--json").stdout)] == [soft]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("org", "acme", "1.0000000001"), "nine decimals"),
        (("org", "acme", "much"), "USD"),
        (("org", "nowhere", "1"), "nowhere"),
        (("org", "default", "1", "--alert", "0"), "alert"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_by_name(folder: Path, words: tuple[str, ...], said: str) -> None:
    run(folder, "orgs", "create", "acme")
    with pytest.raises(GatewayError, match=said):
        run(folder, "budgets", "set", *words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("keys", "create", "app", "--org", "nowhere"), "spillway orgs create"),
        (("keys", "create", "app", "--team", "nowhere"), "spillway teams create"),
        (("keys", "create", "app", "--max-cost", "much"), "--max-cost: 'much' is no amount"),
        (("keys", "create", "app", "--expires", "soon"), "--expires: 'soon' is neither"),
        (("keys", "create", "app", "--role", "king"), "role must be one of admin, member, viewer"),
        (("keys", "rotate", "key_none"), "there is no key 'key_none'"),
        (("keys", "rotate", "key_none", "--grace", "a while"), "--grace"),
        (("limits", "set", "team", "nowhere", "--rpm", "1"), "there is no team nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(folder: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(GatewayError) as refused:
        run(folder, *words)
    assert said in str(refused.value)
