"""`spillway spend`: exact, with everything that was spent and nothing that is unknown shown as zero."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.database import Database, DatabaseError
from gateway.keys import KeyStore
from gateway.ledger.cli import BadMoment, app
from scorer.answer import Usage
from tests.ledgers import a_ledger, a_record, an_attempt, run_request

TOLD = Usage(prompt_tokens=1000, completion_tokens=50)


def configured(folder: Path, url: str) -> str:
    config = folder / "spillway.yaml"
    model = {"name": "small", "backend": "openai_compatible", "base_url": "http://127.0.0.1:1/v1"}
    config.write_text(json.dumps({"database": {"url": url}, "models": [model]}))  # YAML, too
    return str(config)


@pytest.fixture
async def config(database: Database, tmp_path: Path) -> str:
    """A configuration whose ledger holds a cascade, an unknown price and a call that was cancelled."""
    info, _ = await KeyStore(database).create("search app")
    async with a_ledger(database) as ledger:
        cascade = an_attempt(usage=TOLD, state="rejected"), an_attempt(model="large", usage=TOLD)
        await run_request(ledger, *cascade, record=a_record(key_id=info.key_id))
        await run_request(ledger, an_attempt(model="dear", usage=TOLD), record=a_record(key_id=None))
        await run_request(ledger, an_attempt(model="dear", usage=TOLD, state="rejected"), record=a_record(key_id=None))
        refused = an_attempt(state="cancelled", replied=False, usage=Usage(prompt_tokens=0, completion_tokens=0))
        await run_request(ledger, refused, record=a_record(key_id=info.key_id))
    return configured(tmp_path, database._url.render_as_string(hide_password=False))


def spend(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_shows_rejected_attempts_and_unknown_prices(config: str) -> None:
    lines = [line.split() for line in spend("--config", config).splitlines()]
    assert ["large", "1", "1", "0", "0", "0.003", "0"] in lines
    assert ["small", "2", "0", "1", "1", "0.00018", "0.00018"] in lines
    assert ["dear", "2", "1", "1", "0", "unknown", "unknown", "2"] in lines
    assert ["total", "5", "2", "2", "1", "0.00318", "0.00018", "2"] in lines
    assert "2 attempts are without a known price" in spend("--config", config)


def test_the_json_has_integers_and_exact_decimals(config: str) -> None:
    report = json.loads(spend("--config", config, "--json"))
    assert report["by"] == "model"
    rows = {row["name"]: row for row in report["rows"]}
    assert (rows["small"]["cost_nanousd"], rows["small"]["cost_usd"]) == (180_000, "0.00018")
    assert (rows["dear"]["cost_nanousd"], rows["dear"]["cost_usd"], rows["dear"]["unknown"]) == (None, None, 2)
    assert report["total"]["cost_nanousd"] == sum(row["cost_nanousd"] or 0 for row in report["rows"])
    assert (report["total"]["requests"], rows["small"]["requests"]) == (4, None)


def test_keys_go_by_their_names(config: str) -> None:
    report = json.loads(spend("--config", config, "--by", "key", "--json"))
    assert {row["name"]: row["cost_nanousd"] for row in report["rows"]} == {"search app": 3_180_000, "(none)": None}


def test_a_time_without_requests_is_said_to_be_one(config: str) -> None:
    assert "Nothing was asked" in spend("--config", config, "--since", "2999-01-01")
    assert "Nothing was asked" in spend("--config", config, "--until", "2001-01-01T00:00+01:00", "--by", "day")


def test_a_moment_that_is_none_is_named(config: str) -> None:
    with pytest.raises(BadMoment, match="--since: 'yesterday'"):
        spend("--config", config, "--since", "yesterday")


def test_without_a_ledger_it_says_so_and_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(DatabaseError, match="holds no ledger"):
        spend("--config", configured(tmp_path, f"sqlite:///{path}"))
    assert not path.exists()
