"""Every error of a configuration names the file, the line, the field and what would be right."""

from decimal import Decimal
from pathlib import Path

import pytest

from gateway.config.check import is_loopback, load_settings
from gateway.errors import ConfigError, Problem

MODELS = """\
models:
  - name: small
    backend: openai_compatible
    base_url: http://127.0.0.1:9001/v1
    price: {input_usd_per_mtok: 0.15, output_usd_per_mtok: "0.60"}
  - name: large
    backend: hosted
    api_key: ${LARGE_KEY}
"""
POLICIES = """\
policies:
  - name: standard
    safe_model: large
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "spillway.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str, env: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load_settings(written(folder, text), env={"LARGE_KEY": "sk-very-secret"} if env is None else env)
    return list(caught.value.problems)


def the_problem(folder: Path, text: str, env: dict[str, str] | None = None) -> Problem:
    found = problems(folder, text, env)
    assert len(found) == 1, found
    return found[0]


def test_a_whole_file_is_read_with_defaults_and_exact_rates(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, MODELS + POLICIES), env={"LARGE_KEY": "sk-1"})

    price = settings.models[0].price
    assert price is not None
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (Decimal("0.15"), Decimal("0.60"))
    assert settings.models[1].api_key is not None
    assert settings.models[1].api_key.get_secret_value() == "sk-1"
    assert settings.default is settings.policies[0]
    assert (settings.server.host, settings.server.port, settings.auth.required) == ("127.0.0.1", 8080, True)


def test_a_secret_is_in_no_representation(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, MODELS), env={"LARGE_KEY": "sk-very-secret"})
    assert "sk-very-secret" not in repr(settings)


def test_an_unknown_field_is_named_with_the_field_that_was_meant(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, MODELS.replace("base_url:", "base_ulr:"))

    assert (problem.file.name, problem.line, problem.field) == ("spillway.yaml", 4, "models[0].base_ulr")
    assert "did you mean 'base_url'?" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "field", "message"),
    [
        ("server: {prot: 1}\n" + MODELS, 1, "server.prot", "did you mean 'port'?"),
        ("server:\n  port: eighty\n" + MODELS, 2, "server.port", "valid integer"),
        ("server:\n  port: 70000\n" + MODELS, 2, "server.port", "65535; it says '70000'"),
        ("server: 8080\n" + MODELS, 1, "server", "must be a mapping"),
        ("server: {drain_s: .inf}\n" + MODELS, 1, "server.drain_s", "finite"),
        ("server: {request_timeout_s: 1e30}\n" + MODELS, 1, "server.request_timeout_s", "less than or equal"),
        ("models: []\n", 1, "models", "at least 1 item"),
        ("models:\n  - name: x\n", 2, "models[0].backend", "is required and missing"),
        ("models:\n  - name: x\n    backend: vllm\n", 3, "models[0].backend", "'openai_compatible', 'hosted'"),
        ("models:\n  - {name: 'a b', backend: hosted}\n", 2, "models[0].name", "letters, digits"),
        ("models:\n  - {name: auto, backend: hosted}\n", 2, "models[0].name", "kept for policies"),
        ("models:\n  - {name: x, backend: recorded}\n", 2, "models[0].log", "is required"),
        ("models:\n  - {name: x, backend: recorded, log: a}\n", 2, "models[0].log", "must be a list"),
        ("models:\n  - {name: x, backend: recorded, log: [a.gz]}\n", 2, "models[0].log[0]", "there is no file"),
        ("models:\n  - {name: x, backend: hosted, log: [a.gz]}\n", 2, "models[0].log", "belongs to recorded"),
        ("models:\n  - {name: x, backend: openai_compatible}\n", 2, "models[0].base_url", "is required"),
        ("prices: p.json\n" + MODELS, 1, "prices", "there is no file"),
        (MODELS + "default_policy: x\n", 9, "default_policy", "there is no policy 'x'; there are none"),
        (MODELS + POLICIES.replace("safe_model: large", "safe_model: larg"), 11, "policies[0].safe_model", "'large'?"),
        (MODELS + POLICIES + "    strategy: s.json\n", 12, "policies[0].strategy", "`spillway optimize` writes one"),
        (MODELS + POLICIES + "    scorer: s\n", 12, "policies[0].scorer", "`spillway train` writes one"),
        (MODELS + POLICIES + "    cache: sometimes\n", 12, "policies[0].cache", "'deterministic', 'all' or 'off'"),
    ],
)
def test_each_mistake_is_placed_and_explained(tmp_path: Path, text: str, line: int, field: str, message: str) -> None:
    problem = the_problem(tmp_path, text)
    assert (problem.line, problem.field) == (line, field)
    assert message in problem.message
    assert str(problem).startswith(f"{tmp_path / 'spillway.yaml'}, line {line}: {field}: ")


def test_names_are_unique_without_regard_to_case(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, MODELS + "  - {name: Small, backend: hosted}\n")
    assert (problem.line, problem.field) == (9, "models[2].name")
    assert "models[0]" in problem.message


def test_several_policies_need_a_default(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, MODELS + POLICIES + "  - {name: other, safe_model: small}\n")
    assert problem.field == "default_policy"
    assert "standard, other" in problem.message


def test_every_problem_is_reported_at_once_in_the_files_order(tmp_path: Path) -> None:
    found = problems(tmp_path, "server: {port: x, hots: y}\n" + MODELS.replace("hosted", "hostd"))
    assert [problem.field for problem in found] == ["server.port", "server.hots", "models[1].backend"]


def test_a_variable_that_is_not_set_is_named_unless_it_has_a_default(tmp_path: Path) -> None:
    problem = the_problem(tmp_path, MODELS, env={})
    assert (problem.line, problem.field) == (8, "models[1].api_key")
    assert "LARGE_KEY is not set" in problem.message

    text = MODELS.replace("${LARGE_KEY}", "${LARGE_KEY:-none}")
    key = load_settings(written(tmp_path, text), env={}).models[1].api_key
    assert key is not None
    assert key.get_secret_value() == "none"


def test_commands_that_call_no_provider_need_no_provider_key_and_no_artifact(tmp_path: Path) -> None:
    text = MODELS + POLICIES + "    strategy: missing.json\nprices: missing.json\n"
    assert load_settings(written(tmp_path, text), env={}, serving=False).models[1].name == "large"


def test_variables_are_expanded_in_values_only_and_never_parsed_as_yaml(tmp_path: Path) -> None:
    text = MODELS + "    upstream_model: ${NAME}-$${NAME}\n"
    settings = load_settings(written(tmp_path, text), env={"LARGE_KEY": "{a: [b", "NAME": "m"})
    assert settings.models[1].upstream_model == "m-${NAME}"
    assert settings.models[1].api_key is not None
    assert settings.models[1].api_key.get_secret_value() == "{a: [b"

    problem = the_problem(tmp_path, "${NAME}: 1\n" + MODELS, env={"NAME": "server", "LARGE_KEY": "k"})
    assert problem.field == "${NAME}"


def test_a_secret_is_not_repeated_in_an_error(tmp_path: Path) -> None:
    text = MODELS.replace("api_key: ${LARGE_KEY}", "api_key: [sk-very-secret]")
    assert "sk-very-secret" not in str(the_problem(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", None, "is empty"),
        ("- a\n", 1, "not a mapping"),
        ("models: [\n", 2, "is not YAML"),
        ("a: b: c\n", 1, "is not YAML"),
        ("models: &m\n  - *m\n", 1, "contains itself"),
        ("server: {}\nserver: {}\n" + MODELS, 2, "written twice, first on line 1"),
        ("server: {host: '${1X}'}\n" + MODELS, 1, "${1X} is no variable"),
    ],
)
def test_what_is_not_a_configuration_is_said_so(tmp_path: Path, text: str, line: int | None, message: str) -> None:
    problem = the_problem(tmp_path, text)
    assert problem.line == line
    assert message in problem.message


def test_a_missing_file_leads_to_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="spillway init"):
        load_settings(tmp_path / "nowhere.yaml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "spillway.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
        load_settings(path)


def test_without_keys_only_loopback_is_served_unless_it_is_allowed(tmp_path: Path) -> None:
    text = MODELS + "server: {host: 0.0.0.0}\nauth: {required: false}\n"
    assert the_problem(tmp_path, text).field == "auth.required"

    allowed = text.replace("required: false", "required: false, allow_anonymous_network: true")
    assert load_settings(written(tmp_path, allowed), env={"LARGE_KEY": "k"}).auth.allow_anonymous_network

    with pytest.raises(ConfigError, match=r"auth\.required"):
        load_settings(written(tmp_path, MODELS + "auth: {required: false}\n"), env={"LARGE_KEY": "k"}, host="10.0.0.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com", "", "10.0.0.1"])
def test_anything_else_is_the_network(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("sqlite+aiosqlite:///x.db", "sqlite+aiosqlite:///{folder}/x.db"),
        ("sqlite+aiosqlite:///data/x.db?timeout=3", "sqlite+aiosqlite:///{folder}/data/x.db?timeout=3"),
        ("sqlite+aiosqlite:////var/x.db", "sqlite+aiosqlite:////var/x.db"),
        ("sqlite+aiosqlite:///:memory:", "sqlite+aiosqlite:///:memory:"),
        ("postgresql+asyncpg://u:p@h/db", "postgresql+asyncpg://u:p@h/db"),
    ],
)
def test_a_relative_database_lies_beside_the_configuration(tmp_path: Path, url: str, resolved: str) -> None:
    settings = load_settings(written(tmp_path, MODELS + f"database: {{url: '{url}'}}\n"), env={"LARGE_KEY": "k"})
    assert settings.database_url == resolved.format(folder=tmp_path.resolve())


@pytest.mark.parametrize(
    ("ages", "field", "said"),
    [
        ("{money_days: 100}", "ledger.retention.details_days", "is required beside money_days: fewer days than 100"),
        ("{money_days: 100, details_days: 100}", "ledger.retention.details_days", "must be fewer than money_days"),
        ("{money_days: 30, details_days: 5}", "ledger.retention.money_days", "greater than or equal to 62"),
    ],
)
def test_text_goes_strictly_before_money(tmp_path: Path, ages: str, field: str, said: str) -> None:
    problem = the_problem(tmp_path, MODELS + f"ledger:\n  retention: {ages}\n")
    assert problem.field == field
    assert said in problem.message


def test_stored_answers_go_before_money(tmp_path: Path) -> None:
    ages = "ledger: {retention: {money_days: 62, details_days: 7}}\nidempotency: {ttl_s: 5356800}\n"
    assert the_problem(tmp_path, MODELS + ages).field == "idempotency.ttl_s"
