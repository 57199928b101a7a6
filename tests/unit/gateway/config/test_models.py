"""Configured models become backends; what a backend cannot do with is placed in the configuration."""

from pathlib import Path

import pytest

from gateway.config.check import load_settings
from gateway.config.models import output_limits, pools_of
from gateway.config.settings import Settings
from gateway.errors import ConfigError
from scorer.answer import Answer, Query, Usage
from scorer.dataset import LoggedAnswer, LoggedQuery, write_log


def load(folder: Path, models: str) -> Settings:
    path = folder / "spillway.yaml"
    path.write_text("models:\n" + models)
    return load_settings(path, env={"KEY": "sk-secret"})


async def test_every_kind_is_built_under_its_own_name(tmp_path: Path) -> None:
    query = Query(id="q", messages=({"role": "user", "content": "x"},))
    answer = LoggedAnswer(
        answer=Answer(model="logged", text="y"),
        usage=Usage(prompt_tokens=1, completion_tokens=1),
        quality=1.0,
        latency_s=None,
    )
    logged = LoggedQuery(
        dataset="d",
        query=query,
        split=None,
        group=None,
        reference=None,
        answers={"logged": answer},
        labels={"logged": 1.0},
    )
    write_log(tmp_path / "log.jsonl", [logged])
    settings = load(
        tmp_path,
        "  - {name: own, backend: openai_compatible, base_url: 'http://127.0.0.1:1/v1', api_key: '${KEY}'}\n"
        "  - {name: openai/gpt-4o-mini, backend: hosted}\n"
        "  - {name: played, backend: recorded, log: [log.jsonl], recorded_model: logged}\n",
    )
    pools = pools_of(settings)
    assert {name: pool.deployments[0].backend.model for name, pool in pools.items()} == {
        name: name for name in ("own", "openai/gpt-4o-mini", "played")
    }
    assert "sk-secret" not in repr([pool.deployments for pool in pools.values()])
    for pool in pools.values():
        await pool.aclose()


def test_a_broken_log_is_placed_with_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("{}\n")
    settings = load(tmp_path, "  - {name: played, backend: recorded, log: [log.jsonl]}\n")
    with pytest.raises(ConfigError, match=r"line 2: models\[0\]\.log: .*log\.jsonl, line 1"):
        pools_of(settings)


def test_a_url_with_a_password_in_it_is_refused(tmp_path: Path) -> None:
    settings = load(tmp_path, "  - {name: own, backend: openai_compatible, base_url: 'http://u:pw@127.0.0.1/v1'}\n")
    with pytest.raises(ConfigError, match=r"models\[0\]\.base_url: must have no credentials"):
        pools_of(settings)


def test_an_output_limit_is_the_configured_or_the_known_one(tmp_path: Path) -> None:
    own = "backend: openai_compatible, base_url: 'http://127.0.0.1:1/v1'"
    settings = load(
        tmp_path,
        f"  - {{name: a, {own}, max_output_tokens: 7, context_tokens: 9}}\n"
        f"  - {{name: b, {own}, context_tokens: 9}}\n"
        f"  - {{name: c, {own}}}\n"
        "  - {name: openai/gpt-4o-mini, backend: hosted}\n",
    )
    assert output_limits(settings) == {"a": 7, "b": 9, "openai/gpt-4o-mini": 16384}
