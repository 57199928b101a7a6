"""An artifact: what is written scores the same when read; whatever was touched is refused before it is parsed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest

from scorer import registry
from scorer.dataset import LoggedQuery
from scorer.errors import ArtifactError
from scorer.member import Trained
from scorer.registry import MANIFEST, Artifact
from scorer.scoring import Scorer


@pytest.fixture
def copy(artifact: Path, tmp_path: Path) -> Path:
    shutil.copytree(artifact, tmp_path / "copy")
    return tmp_path / "copy"


def rewritten(directory: Path, change: Callable[[dict[str, object]], object], *, signed: bool = True) -> None:
    """Change the manifest, and give it the version that fits, as a forger would."""
    manifest = orjson.loads((directory / MANIFEST).read_bytes())
    change(manifest)
    if signed:
        manifest["version"] = registry._version(manifest)
    (directory / MANIFEST).write_bytes(orjson.dumps(manifest, option=registry._JSON))


def test_what_is_read_scores_as_what_was_trained(
    trained: Trained, artifact: Path, log: tuple[LoggedQuery, ...], unseen: tuple[LoggedQuery, ...]
) -> None:
    before, after = Scorer(Artifact(version="", trained=trained)), Scorer.load(artifact)
    for queries in (log, unseen):
        for others in ([], ["small"], ["small", "large"]):
            one, other = (scorer.score_log(queries, "middle", others) for scorer in (before, after))
            assert np.array_equal(one, other)
    assert after.priors == before.priors
    assert after.report == orjson.loads(orjson.dumps(before.report))


def test_the_same_training_has_the_same_version(trained: Trained, artifact: Path, tmp_path: Path) -> None:
    assert registry.write(trained, tmp_path / "again") == registry.read(artifact).version


def test_any_flipped_byte_is_refused(copy: Path) -> None:
    random = np.random.default_rng(0)
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        for place in {0, len(whole) - 1, *random.integers(0, len(whole), 6).tolist()}:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << int(random.integers(0, 8))
            path.write_bytes(flipped)
            with pytest.raises(ArtifactError):
                registry.read(copy)
        path.write_bytes(whole)
    registry.read(copy)


def test_a_manifest_with_another_layout_of_the_same_content_is_refused(copy: Path) -> None:
    manifest = orjson.loads((copy / MANIFEST).read_bytes())
    (copy / MANIFEST).write_bytes(orjson.dumps(manifest))
    with pytest.raises(ArtifactError, match="changed after it was written"):
        registry.read(copy)


def test_what_is_missing_is_named(copy: Path, tmp_path: Path) -> None:
    (copy / "folds.json").unlink()
    with pytest.raises(ArtifactError, match=r"folds\.json cannot be read: No such file"):
        registry.read(copy)
    with pytest.raises(ArtifactError, match=r"holds no scorer: manifest\.json"):
        registry.read(tmp_path / "nowhere")


def test_another_format_is_named(copy: Path) -> None:
    rewritten(copy, lambda manifest: manifest.update(format="spillway-scorer/0"))
    with pytest.raises(ArtifactError, match="format must be 'spillway-scorer/4', not 'spillway-scorer/0'"):
        registry.read(copy)
    (copy / MANIFEST).write_text("[]")
    with pytest.raises(ArtifactError, match="format must be"):
        registry.read(copy)
    (copy / MANIFEST).write_text("{")
    with pytest.raises(ArtifactError, match="not JSON"):
        registry.read(copy)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "/etc/passwd",
        "members/../../outside.json",
        "a\\b.json",
        "members//x.json",
        ".hidden",
        "C:x.y",
    ],
)
def test_a_manifest_cannot_reach_outside(copy: Path, name: str) -> None:
    (copy.parent / "outside.json").write_text("{}")
    rewritten(copy, lambda manifest: manifest["files"].update({name: {"sha256": "0", "bytes": 2}}))  # type: ignore[attr-defined]  # JSON
    with pytest.raises(ArtifactError, match="no name of a file within an artifact"):
        registry.read(copy)


def test_links_are_not_followed(copy: Path) -> None:
    target = copy.parent / "folds.json"
    shutil.move(copy / "folds.json", target)
    (copy / "folds.json").symlink_to(target)
    with pytest.raises(ArtifactError, match="plain file"):
        registry.read(copy)
    (copy / "folds.json").unlink()
    shutil.move(target, copy / "folds.json")
    shutil.move(copy / "members", copy.parent / "members")
    (copy / "members").symlink_to(copy.parent / "members")
    with pytest.raises(ArtifactError, match="plain file"):
        registry.read(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.update(files=[]),
        lambda manifest: manifest.update(files={}),
        lambda manifest: manifest.pop("models"),
        lambda manifest: manifest.update(features=["other"]),
        lambda manifest: manifest.update(n_folds=9),
        lambda manifest: manifest.update(priors=7),
        lambda manifest: manifest["files"].update({"folds.json": "x"}),
    ],
)
def test_a_manifest_that_says_nonsense_is_refused(copy: Path, change: Callable[[dict[str, object]], object]) -> None:
    rewritten(copy, change)
    with pytest.raises(ArtifactError):
        registry.read(copy)


def test_an_older_scorer_is_replaced_but_nothing_else_is(trained: Trained, tmp_path: Path) -> None:
    place = tmp_path / "scorer"
    registry.write(trained, place)
    (place / "stray.txt").write_text("left behind")
    registry.write(trained, place)
    assert not (place / "stray.txt").exists()
    taken = tmp_path / "photos"
    taken.mkdir()
    (taken / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(ArtifactError, match="holds no scorer; name a new directory"):
        registry.write(trained, taken)
    assert (taken / "cat.jpg").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError):
        registry.write(trained, tmp_path / "file")


def test_nothing_in_an_artifact_is_a_pickle(artifact: Path) -> None:
    suffixes = {path.suffix for path in artifact.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".npz", ".model"}
    for path in artifact.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype.kind in "fiuU" for name in arrays.files)
