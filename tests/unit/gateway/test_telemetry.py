"""Metrics have bounded labels; a log line is one line whatever is in it."""

import json
import logging

from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry import JsonLines, Telemetry
from router.errors import BackendTimeout
from router.outcome import Attempt
from scorer.answer import Usage


@given(st.text(), st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=3))
def test_a_record_is_one_line_of_json(message: str, fields: dict[str, object]) -> None:
    record = logging.LogRecord("n", logging.INFO, "p", 1, "%s", (message,), None)
    record.fields = fields
    line = JsonLines().format(record)
    assert "\n" not in line
    read = json.loads(line)
    assert all(read[name] == value for name, value in fields.items())


def test_a_traceback_stays_in_its_line() -> None:
    error = ValueError("broken\nin two")
    record = logging.LogRecord("n", logging.ERROR, "p", 1, "x", (), (ValueError, error, error.__traceback__))
    line = JsonLines().format(record)
    assert "\n" not in line
    assert "ValueError" in json.loads(line)["traceback"]


def test_an_attempt_is_counted_with_tokens_and_cost_and_an_unknown_cost_is_no_zero() -> None:
    telemetry = Telemetry()
    attempt = Attempt(
        id="a",
        stage=0,
        model="m",
        state="failed",
        reply=None,
        usage=Usage(prompt_tokens=3, completion_tokens=4),
        score=None,
        threshold=None,
        latency_s=0.2,
        error=BackendTimeout("m", "slow"),
    )
    telemetry.attempted(attempt, 1_500)
    telemetry.attempted(attempt, None)
    text = telemetry.render().decode()
    assert 'spillway_cost_usd_total{model="m"} 1.5e-06' in text
    assert 'spillway_unpriced_attempts_total{model="m"} 1.0' in text
    assert 'spillway_tokens_total{direction="output",model="m"} 8.0' in text
    assert 'spillway_upstream_errors_total{error="BackendTimeout",model="m"} 2.0' in text


def test_two_gateways_in_one_process_count_apart() -> None:
    first, second = Telemetry(), Telemetry()
    first.decided("p", 1, "accepted")
    assert 'spillway_decisions_total{policy="p"' in first.render().decode()
    assert 'spillway_decisions_total{policy="p"' not in second.render().decode()
