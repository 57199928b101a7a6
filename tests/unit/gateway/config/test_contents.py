"""What tells one configuration's contents from another's: its file, and every byte that it names."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.contents import Contents

NAMING = """\
models:
  - {name: large, backend: openai_compatible, base_url: 'http://127.0.0.1:1/v1', tokenizer: words.json}
policies:
  - name: p
    safe_model: large
    strategy: strategy.json
    scorer: scorer
    canary: {strategy: second.json}
    verifiers: [{name: v, kind: json_schema, schema_file: schema.json}]
prices: prices.yaml
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "scorer" / "members").mkdir(parents=True)
    for name in ("strategy.json", "second.json", "schema.json", "prices.yaml", "words.json", "scorer/members/one"):
        (tmp_path / name).write_text("as it was")
    file = tmp_path / "spillway.yaml"
    file.write_text(NAMING)
    return file


@pytest.mark.parametrize(
    "name",
    [
        *("spillway.yaml", "strategy.json", "second.json", "schema.json", "prices.yaml", "words.json"),
        *("scorer/members/one", "scorer/members/two"),
    ],
)
def test_whatever_is_changed_is_seen_and_what_is_changed_back_is_as_before(path: Path, name: str) -> None:
    contents, file = Contents(path), path.parent / name
    before = contents.look()
    was = file.read_bytes() if file.exists() else None
    file.write_bytes((was or b"") + b"\n# more")
    assert contents.look() != before
    file.unlink() if was is None else file.write_bytes(was)
    assert contents.look() == before
    assert Contents(path).look() == before


def change_nothing(path: Path) -> None:
    os.utime(path.parent / "strategy.json")


def take_away(path: Path) -> None:
    (path.parent / "strategy.json").unlink()


def break_it(path: Path) -> None:
    path.write_text("models: [")


@pytest.mark.parametrize(("change", "seen"), [(change_nothing, False), (take_away, True), (break_it, True)])
def test_missing_and_broken_files_are_contents_too(path: Path, change: Callable[[Path], None], seen: bool) -> None:
    contents = Contents(path)
    before = contents.look()
    change(path)
    assert (contents.look() != before) is seen


def test_a_file_behind_a_link_is_seen_to_change(path: Path) -> None:
    """As volumes of a cluster exchange a whole folder by its link."""
    for version in ("one", "two"):
        folder = path.parent / version
        folder.mkdir()
        (folder / "strategy.json").write_text(version)
    (path.parent / "strategy.json").unlink()
    (path.parent / "now").symlink_to("one")
    (path.parent / "strategy.json").symlink_to("now/strategy.json")
    contents = Contents(path)
    before = contents.look()
    (path.parent / "next").symlink_to("two")
    (path.parent / "next").rename(path.parent / "now")
    assert contents.look() != before
