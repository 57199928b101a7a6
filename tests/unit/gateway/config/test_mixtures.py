"""Models made of several, as the configuration has them: what they take over, and what is wrong with one."""

from pathlib import Path

import pytest

from gateway.config.check import load_settings
from gateway.config.identity import model_identity
from gateway.config.mixtures import mixtures_of, parts_of
from gateway.config.models import pools_of
from gateway.config.prices import gpu_bills, price_book
from gateway.config.settings import Settings
from gateway.describe import describe
from gateway.errors import ConfigError
from tests.gateway_server import PRICE

PARTS = f"""models:
  - {{name: small, backend: openai_compatible, base_url: 'http://127.0.0.1:1/v1', capabilities: [json_schema, tools]}}
  - name: large
    backend: openai_compatible
    base_url: http://127.0.0.1:2/v1
    upstream_model: real-large
    api_key: k
    {PRICE}
    context_tokens: 8192
    gpu_usd_per_hour: 2
    max_output_tokens: 512
  - {{name: vectors, backend: openai_compatible, base_url: 'http://127.0.0.1:3/v1', serves: embeddings}}
"""
PANEL = "  - {name: panel, backend: mixture, mixture: {proposers: [small, small], aggregator: large%s}%s}\n"


def settings(tmp_path: Path, models: str, more: str = "") -> Settings:
    path = tmp_path / "spillway.yaml"
    path.write_text(models + more)
    return load_settings(path, env={})


def test_a_mixture_calls_and_costs_as_its_aggregator_does(tmp_path: Path) -> None:
    told = settings(tmp_path, PARTS + PANEL % ("", ", max_output_tokens: 100"))
    panel = next(model for model in told.models if model.name == "panel")
    assert (panel.backend, panel.base_url, panel.upstream_model) == (
        "openai_compatible",
        "http://127.0.0.1:2/v1",
        "real-large",
    )
    assert panel.max_output_tokens == 100
    assert panel.capabilities == frozenset(
        ["json_schema"]
    )  # what all of them can; of several calls of tools nobody makes one
    assert panel.context_tokens == 8192 - 2 * 1024
    prices = price_book(told)
    large, own = prices.price("large"), prices.price("panel")
    assert large is not None
    assert own is not None
    assert own.rates == large.rates
    assert gpu_bills(told) == {"127.0.0.1": 2_000_000_000}  # once
    assert pools_of(told)["panel"].model == "panel"
    assert [part.name for part in parts_of(told, panel)] == ["large", "small"]
    mixture = mixtures_of(told)["panel"]
    assert (mixture.models, mixture.aggregator, mixture.least, mixture.quorum) == (("small", "small"), "large", 2, 1)
    assert any("made by large of 2 proposals (small, small)" in line for line in describe(told))


def test_whatever_changes_the_answer_changes_the_identity(tmp_path: Path) -> None:
    def identity(models: str) -> str:
        told = settings(tmp_path, models)
        return model_identity(told, told.models[-1])

    told = [
        identity(PARTS + PANEL % (more, ""))
        for more in ("", ", quorum: 2", ", temperature: 1", ", prompt: 'Choose.'", ", least: 1")
    ]
    told.append(identity(PARTS.replace(":1/v1", ":9/v1") + PANEL % ("", "")))
    assert len(set(told)) == len(told)


@pytest.mark.parametrize(
    ("panel", "field", "said"),
    [
        ("{name: panel, backend: mixture}", "mixture", "is required"),
        (
            "{name: panel, backend: mixture, mixture: {proposers: [smal], aggregator: large}}",
            "proposers[0]",
            "no model",
        ),
        ("{name: panel, backend: mixture, mixture: {proposers: [small], aggregator: lage}}", "aggregator", "no model"),
        ("{name: panel, backend: mixture, mixture: {proposers: [panel], aggregator: large}}", "proposers[0]", "itself"),
        ("{name: panel, backend: mixture, mixture: {proposers: [vectors], aggregator: large}}", "proposers[0]", "chat"),
        (PANEL[4:].strip() % (", least: 3", ""), "mixture.least", "at most the number of proposers, 2"),
        (PANEL[4:].strip() % (", least: 1, quorum: 2", ""), "mixture.quorum", "at most 1"),
        (PANEL[4:].strip() % (", most_tokens: 4096", ""), "mixture.most_tokens", "leaves nothing of the 8192 tokens"),
        (PANEL[4:].strip() % ("", ", base_url: 'http://x/v1'"), "base_url", "told by the aggregator, 'large'"),
        (
            PANEL[4:].strip() % ("", ", capabilities: [tools, vision]"),
            "capabilities",
            "a mixture has no tools",
        ),
        (PANEL[4:].strip() % ("", ", gpu_usd_per_hour: 1"), "gpu_usd_per_hour", "told by the aggregator"),
        (
            "{name: p, backend: hosted, mixture: {proposers: [small], aggregator: large}}",
            "mixture",
            "belongs to the backend mixture",
        ),
    ],
)
def test_what_is_wrong_with_a_mixture_is_told_with_its_field(tmp_path: Path, panel: str, field: str, said: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        settings(tmp_path, PARTS + f"  - {panel}\n")
    problems = [problem for problem in wrong.value.problems if problem.field.startswith("models[3]")]
    assert any(problem.field.endswith(field) and said in problem.message for problem in problems), wrong.value


def test_a_judge_is_no_mixture(tmp_path: Path) -> None:
    policies = "policies: [{name: p, safe_model: large, verifiers: [{name: j, kind: judge, model: panel}]}]\n"
    with pytest.raises(ConfigError, match="is a mixture; a judge is one model"):
        settings(tmp_path, PARTS + PANEL % ("", ""), policies)
