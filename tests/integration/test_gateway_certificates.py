"""A certificate is shown with every decision of the strategy that carries it, and by check-config."""

from pathlib import Path

import pytest

from gateway.config.check import load_settings
from gateway.describe import describe
from gateway.errors import ConfigError
from router.certificate import Certificate, Promise, assumptions
from router.strategy import Stage, Strategy
from tests.gateway_server import CASCADE, models, serving
from tests.upstream import BadUpstream, answer

POLICIES = """\
policies:
  - {name: certified, safe_model: large, strategy: certified.json, scorer: scorer}
  - {name: plain, safe_model: large, strategy: strategy.json, scorer: scorer}
default_policy: certified
"""
PROMISE = Promise(kind="quality_drop", alpha=0.02, delta=0.1)


def certified(*stages: Stage) -> Strategy:
    version = "stub" if len(stages) > 1 else None
    bare = Strategy.of(stages, reference_model="large", safe_model="large", scorer_version=version)
    certificate = Certificate(
        promise=PROMISE,
        controlled=PROMISE.in_words("large", fractional=False),
        assumptions=assumptions("betting"),
        test="betting",
        n=500,
        n_accepted=200,
        observed=0.001,
        p_value=0.03,
        bound=0.015,
        steps=40,
        tested=3,
        n_selection=300,
        strategy_id=bare.id,
        made_from=bare.id,
        reference_model="large",
        scorer_version=version,
        data_sha256="d" * 64,
        date="2026-01-01T00:00:00+00:00",
        seen=frozenset({"a" * 16}),
    )
    return bare.certified(certificate)


async def test_decisions_show_the_certificate_of_their_strategy(tmp_path: Path) -> None:
    strategy = certified(Stage(model="small", threshold=0.8), Stage(model="large"))
    strategy.dump(tmp_path / "certified.json")
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.93"))
        sections = (models(small=small.base_url, large=large.base_url), POLICIES)
        async with serving(tmp_path, *sections) as gateway:
            decision = await gateway.decision(await gateway.chat("auto"))
            assert decision["strategy_id"] == strategy.id
            assert strategy.certificate is not None
            assert decision["certificate"] == strategy.certificate.told()
            assert decision["certificate"]["promise"]["alpha"] == 0.02
            assert "seen" not in decision["certificate"]
            assert "spillway.certificate" not in decision["tags"]
            wished = await gateway.chat("auto", spillway={"min_tier": 2})
            assert wished.headers["x-spillway-certificate"] == "void: tiers"
            assert (await gateway.decision(wished))["tags"]["spillway.certificate"] == "void: tiers"
            for model in ("cascade/plain", "large"):  # without one; and no strategy at all
                assert (await gateway.decision(await gateway.chat(model)))["certificate"] is None


def test_a_changed_certificate_does_not_come_into_service(tmp_path: Path) -> None:
    path = tmp_path / "strategy.json"
    certified(Stage(model="large")).dump(path)
    path.write_text(path.read_text().replace('"alpha": 0.02', '"alpha": 0.01'))
    config = tmp_path / "spillway.yaml"
    config.write_text(models(large="http://127.0.0.1:1") + CASCADE.replace(", scorer: scorer", ""))
    with pytest.raises(ConfigError, match="the file was changed"):
        list(describe(load_settings(config, env={})))


def test_check_config_says_what_is_certified(tmp_path: Path) -> None:
    certified(Stage(model="large")).dump(tmp_path / "strategy.json")
    config = tmp_path / "spillway.yaml"
    config.write_text(models(large="http://127.0.0.1:1") + CASCADE.replace(", scorer: scorer", ""))
    said = "\n".join(describe(load_settings(config, env={})))
    assert "certified 2026-01-01T00:00:00+00:00 on 500 queries: With probability 0.9" in said
