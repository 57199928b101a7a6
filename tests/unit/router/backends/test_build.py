"""Descriptions of backends: what is missing or wrong in one is named."""

from pathlib import Path
from typing import Any

import pytest

from router.backends.build import BackendSpec, build
from router.errors import BadBackendSpec
from scorer.errors import ScorerError

GOOD: dict[str, Any] = {"model": "m", "kind": "openai_compatible", "base_url": "http://h:1/v1"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"base_url": None}, "base_url"),
        ({"base_url": "h:1/v1"}, "base_url"),
        ({"base_url": "ftp://h/v1"}, "base_url"),
        ({"base_url": "http://user:password@h/v1"}, "base_url"),
        ({"base_url": "http://h/v1?key=x"}, "base_url"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"connect_timeout_s": -1}, "timeout_s"),
        ({"extra_headers": {"x-a": "b\r\nx-c: d"}}, "extra_headers"),
        ({"extra_headers": {"x a": "b"}}, "extra_headers"),
        ({"extra_headers": {"": "b"}}, "extra_headers"),
        ({"api_key": "password\n"}, "api_key"),
        ({"api_key": "password…"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"kind": "hosted", "base_url": None}, "upstream_model"),
        ({"kind": "recorded"}, "logs"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadBackendSpec) as raised:
        build(BackendSpec(**{**GOOD, **fields}))
    assert (raised.value.model, raised.value.field) == ("m", field)
    assert "password" not in str(raised.value)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScorerError, match=r"none\.jsonl"):
        build(BackendSpec(model="m", kind="recorded", logs=(tmp_path / "none.jsonl",)))


def test_secrets_are_not_in_the_repr() -> None:
    spec = BackendSpec(**GOOD, api_key="sk-secret", extra_headers={"x-key": "hidden"})
    assert "sk-secret" not in repr(spec)
    assert "hidden" not in repr(spec)
