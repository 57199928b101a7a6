"""Metrics have bounded labels; an example is told to those who understand it."""

import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gateway.telemetry.metrics import Telemetry
from router.errors import BackendTimeout
from router.outcome import Attempt
from scorer.answer import Usage


def attempt_of(model: str, **more: object) -> Attempt:
    fields: dict[str, object] = {
        "id": "a", "stage": 0, "model": model, "state": "failed", "reply": None,
        "usage": Usage(prompt_tokens=3, completion_tokens=4), "score": None, "threshold": None,
        "latency_s": 0.2, "error": BackendTimeout(model, "slow"),
    }  # fmt: skip
    return Attempt(**(fields | more))  # type: ignore[arg-type]


def test_an_attempt_is_counted_with_tokens_and_cost_and_an_unknown_cost_is_no_zero() -> None:
    telemetry = Telemetry()
    attempt = attempt_of("m")
    telemetry.attempted(attempt, 1_500)
    telemetry.attempted(attempt, None)
    text = telemetry.render()[0].decode()
    assert 'spillway_cost_usd_total{model="m"} 1.5e-06' in text
    assert 'spillway_unpriced_attempts_total{model="m"} 1.0' in text
    assert 'spillway_tokens_total{direction="output",model="m"} 8.0' in text
    assert 'spillway_upstream_errors_total{error="BackendTimeout",model="m"} 2.0' in text


def test_two_gateways_in_one_process_count_apart() -> None:
    first, second = Telemetry(), Telemetry()
    first.decided("p", 1, "accepted")
    assert 'spillway_decisions_total{policy="p"' in first.render()[0].decode()
    assert 'spillway_decisions_total{policy="p"' not in second.render()[0].decode()


def test_models_beyond_the_bound_are_one() -> None:
    telemetry = Telemetry(models=2)
    for model in ("a", "b", "c", "d", "a"):
        telemetry.attempted(attempt_of(model), 1)
    text = telemetry.render()[0].decode()
    assert 'spillway_attempts_total{model="a",state="failed"} 2.0' in text
    assert 'spillway_attempts_total{model="other",state="failed"} 2.0' in text
    assert 'model="c"' not in text


@pytest.mark.parametrize("accept", ["", "text/plain", "*/*"])
def test_an_example_is_told_only_in_openmetrics(accept: str) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    telemetry = Telemetry(trace_id=lambda: trace)
    telemetry.request_ended("/v1/chat/completions", 200, 0.3)
    assert trace not in telemetry.render(accept)[0].decode()
    text, media_type = telemetry.render("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    parsed = text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
    families = {family.name: family for family in parsed}
    examples = [sample.exemplar for sample in families["spillway_request_seconds"].samples if sample.exemplar]
    assert [example.labels for example in examples] == [{"trace_id": trace}]


@pytest.mark.parametrize(
    ("attempt", "reason"),
    [
        (attempt_of("m"), "failed"),
        (attempt_of("m", state="rejected", score=0.3), "score"),
        (attempt_of("m", state="rejected"), "unscored"),
    ],
)
def test_an_escalation_has_its_reason(attempt: Attempt, reason: str) -> None:
    telemetry = Telemetry()
    telemetry.escalated("p", [attempt])
    said = f'spillway_escalations_total{{policy="p",reason="{reason}"}} 1.0'
    assert said in telemetry.render()[0].decode()


def test_what_stands_of_a_certificate_is_counted_without_its_reasons() -> None:
    telemetry = Telemetry()
    telemetry.certified("p", "void: pressure, max_cost")
    assert 'spillway_certified_requests_total{policy="p",state="void"} 1.0' in telemetry.render()[0].decode()


@pytest.mark.parametrize(("keys", "models"), [(10_000, 500)])
def test_a_scrape_does_not_grow_with_keys_and_hardly_with_models(keys: int, models: int) -> None:
    telemetry = Telemetry()
    for n in range(keys):  # whoever calls, a key is told nowhere
        model = f"provider/a-model-with-a-long-name-{n % models}"
        telemetry.attempted(attempt_of(model, first_token_s=0.1), 1_000, 1 + n % 3)
        telemetry.request_began()
        telemetry.request_ended("/v1/chat/completions", 200, 0.3)
    began = time.perf_counter()
    text, _ = telemetry.render()
    print(f"{keys} keys, {models} models: {len(text)} bytes in {(time.perf_counter() - began) * 1000:.0f} ms")
    assert len(text) < 1_500_000
    assert (
        len({line.split('model="')[1].split('"')[0] for line in text.decode().splitlines() if 'model="' in line}) == 101
    )
