"""Whatever stands in a configuration file, it is read, or refused in words; nothing else comes of it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from gateway.config.check import load_settings
from gateway.config.settings import Settings
from gateway.errors import ConfigError
from tests.fuzzing import cases

MODEL = {
    "name": "m",
    "backend": "openai_compatible",
    "base_url": "http://127.0.0.1:1/v1",
    "api_key": "k",
    "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
    "timeouts": {"connect_s": 1, "first_token_s": 2},
    "retries": {"most": 2},
    "breaker": {"failures": 3},
    "queue": {"most": 4},
    "deployments": [{"name": "a"}, {"name": "b", "base_url": "http://127.0.0.1:2/v1"}],
    "fallbacks": ["n"],
}
GOOD: dict[str, Any] = {
    "server": {"host": "127.0.0.1", "port": 8080, "drain_s": 1.5},
    "database": {"url": "sqlite+aiosqlite:///x.db"},
    "auth": {"required": True},
    "cache": {"enabled": True, "ttl_s": 5},
    "models": [MODEL, {"name": "n", "backend": "hosted", "extra_headers": {"x-a": "b"}}],
    "policies": [{"name": "p", "safe_model": "m"}],
    "default_policy": "p",
}
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(
    ["${X}", "${X:-1}", "${", "$${", "m", "p", "auto", "cascade/x", "http://", "http://[::1", "0x10", "1e400", "\x00"]
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = [place for place in places(GOOD) if place]


def changed(changes: list[tuple[tuple[Any, ...], str, Any]]) -> Any:
    """The good configuration with some places written over, taken out, or given one more field."""
    tree = copy.deepcopy(GOOD)
    for path, how, value in changes:
        *outer, last = path
        try:
            node: Any = tree
            for key in outer:
                node = node[key]
            if how == "remove":
                del node[last]
            elif how == "add":
                node[last]["unknown"] = value
            else:
                node[last] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    return tree


def outcome(path: Path) -> Settings | ConfigError:
    try:
        return load_settings(path, env={"X": "x"})
    except ConfigError as error:
        refusal = error
    assert str(refusal)
    assert all(problem.message for problem in refusal.problems)
    return refusal


changes = st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(["set", "remove", "add"]), values), max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def test_the_good_one_is_good(folder: Path) -> None:
    path = folder / "good.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    assert isinstance(outcome(path), Settings)


@cases(300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes)
def test_a_changed_configuration_is_read_or_refused(
    folder: Path, changes: list[tuple[tuple[Any, ...], str, Any]]
) -> None:
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(changed(changes), allow_unicode=True), encoding="utf-8", errors="replace")
    outcome(path)


@cases(300)
@given(st.binary(max_size=200) | st.text("{}[]:,-&*!|>'\"#%@`?\n $<=~ab01", max_size=60).map(str.encode))
@example(b"? [a]\n: b")
@example(b"models: &a [*a]")
@example(b"<<: 1")
@example(b"a: !!python/object/apply:os.system [x]")
@example(b"a: !!binary x\nb: !!timestamp x\nc: !!int x")
@example(b"{? {a: b} : c}")
@example(b"a: 2020-13-45")
@example(b"a: 0o9\nb: 1:99\nc: 0x")
@example(b"[" * 2000)
@example(b"\x00")
def test_any_bytes_are_read_or_refused(folder: Path, data: bytes) -> None:
    path = folder / "bytes.yaml"
    path.write_bytes(data)
    outcome(path)
