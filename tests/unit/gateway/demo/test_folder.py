"""The working folder is only ever emptied of what demos wrote."""

from pathlib import Path

import pytest

from gateway.demo.errors import FolderTaken
from gateway.demo.folder import take


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    folder = take(tmp_path / "a" / "demo")
    assert folder.path.is_dir()
    assert folder.config.name == "spillway.yaml"


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    take(tmp_path)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "spillway.yaml").write_text("mine")
    with pytest.raises(FolderTaken, match="--directory"):
        take(tmp_path)
    assert (tmp_path / "spillway.yaml").read_text() == "mine"


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(FolderTaken):
        take(tmp_path / "demo")
    assert (tmp_path / "demo").read_text() == "mine"


def test_a_second_demo_starts_afresh_beside_what_others_put_there(tmp_path: Path) -> None:
    first = take(tmp_path)
    for file in (first.config, first.database, first.strategy, first.traffic, first.log("gateway")):
        file.write_text("old")
    Path(f"{first.database}-wal").write_text("old")
    first.scorer.mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    first.lock.close()
    second = take(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["notes.txt"]
    second.lock.close()


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    first = take(tmp_path)
    first.config.write_text("running")
    with pytest.raises(FolderTaken, match="another demo is running"):
        take(tmp_path)
    assert first.config.read_text() == "running"
