"""A log line is one line whatever is in it."""

import json
import logging

from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.logs import JsonLines


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
