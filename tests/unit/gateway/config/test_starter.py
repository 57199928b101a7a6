"""A first configuration names models that exist, keys by their variable only, and is right as it stands."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config.check import load_settings
from gateway.config.starter import PROVIDERS, write_config
from gateway.describe import describe
from gateway.errors import GatewayError
from router.backends.hosted_catalog import known_model

EVERY_KEY = {provider.variables[-1]: f"secret-{provider.name}" for provider in PROVIDERS}


def write(folder: Path, env: Mapping[str, str], *, force: bool = False) -> str:
    list(write_config(folder / "spillway.yaml", env=env, force=force))
    return (folder / "spillway.yaml").read_text()


@pytest.mark.parametrize("env", [{}, {"VLLM_BASE_URL": "http://gpu:8000/v1"}, EVERY_KEY], ids=["none", "own", "every"])
def test_what_is_written_is_right(tmp_path: Path, env: dict[str, str]) -> None:
    text = write(tmp_path, env)
    settings = load_settings(tmp_path / "spillway.yaml", env=env)
    assert settings.default is not None
    assert next(iter(describe(settings))).endswith("is right. It serves on http://127.0.0.1:8080")
    assert "secret-" not in text


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: str(provider.name))
def test_every_provider_gets_at_least_two_tiers_that_have_a_price(tmp_path: Path, provider: object) -> None:
    (chosen,) = [one for one in PROVIDERS if one is provider]
    env = {chosen.variables[0]: "k"}
    write(tmp_path, env)
    models = load_settings(tmp_path / "spillway.yaml", env=env).models
    known = [known_model(model.upstream_model or "") for model in models]
    assert len(models) >= 2
    rates = [model.price.rates["output"] for model in known if model is not None and model.price is not None]
    assert len(rates) == len(models)
    assert rates == sorted(rates)
    retires = [model.retires for model in known if model is not None and model.retires is not None]
    assert all(day > datetime.now(UTC).date() for day in retires)


def test_the_safe_model_is_the_dearest(tmp_path: Path) -> None:
    env = {"OPENAI_API_KEY": "k"}
    write(tmp_path, env)
    settings = load_settings(tmp_path / "spillway.yaml", env=env)
    assert settings.policies[0].safe_model == settings.models[-1].name


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("192.168.1.5:1234", "http://192.168.1.5:1234/v1"),
        ("https://ollama.example.com", "https://ollama.example.com/v1"),
        ("http://box:11434/", "http://box:11434/v1"),
        (":5000", "http://127.0.0.1:5000/v1"),
    ],
)
def test_ollamas_host_becomes_a_url_that_can_be_called(tmp_path: Path, host: str, url: str) -> None:
    assert f"base_url: {url}\n" in write(tmp_path, {"OLLAMA_HOST": host})


def test_nothing_is_overwritten_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "spillway.yaml").write_text("mine")
    with pytest.raises(GatewayError, match="--force"):
        write(tmp_path, {})
    assert (tmp_path / "spillway.yaml").read_text() == "mine"
    assert "ollama" in write(tmp_path, {}, force=True)


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="cannot be written"):
        write(tmp_path / "nowhere", {})
