"""A scorer on disk: a directory of plain data under a manifest, written as a whole and verified before it is read.

Knows files, hashes and formats. Knows no training. Nothing in an artifact is code: JSON, npz without pickles, and
LightGBM's text. The hashes guard against damage and mixing; who may write the directory is the operator's business.
"""

import hashlib
import io
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from scorer.calibration import Calibrator
from scorer.errors import ArtifactError
from scorer.familiarity import Familiarity
from scorer.features.experience import Experience
from scorer.features.matrix import together_names
from scorer.forecast import Forecast
from scorer.member import KINDS, Head, Member, PrefixHead, Trained
from scorer.models import boosted
from scorer.models.lexical import LexicalModel

FORMAT = "spillway-scorer/4"
MANIFEST = "manifest.json"
_FOLDS = "folds.json"
_FAMILIARITY = "familiarity.npz"
_SORTER = "category.npz"
_NAME = re.compile(r"[a-z0-9_]+(?:/[a-z0-9_]+)*\.[a-z]+")
_PACKAGES = ("numpy", "scikit-learn", "lightgbm")
_JSON = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What a directory holds. ``version`` names its exact content."""

    version: str
    trained: Trained


def write(trained: Trained, directory: Path) -> str:
    """Write an artifact, replacing an older one at that place as a whole; returns its version.

    Raises ArtifactError if the place is taken by something else or cannot be written.
    """
    if (
        directory.exists()
        and not (directory / MANIFEST).is_file()
        and (directory.is_file() or any(directory.iterdir()))
    ):
        raise ArtifactError(f"{directory} is not empty and holds no scorer; name a new directory")
    files = _files(trained)
    manifest = _manifest(trained, files)
    fresh, old = (directory.with_name(f".{directory.name}.{state}") for state in ("new", "old"))
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        for name, data in {**files, MANIFEST: orjson.dumps(manifest, option=_JSON)}.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(data)
        if directory.exists():
            directory.rename(old)
        fresh.rename(directory)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(f"{directory} cannot be written: {error.strerror or error}") from error
    return str(manifest["version"])


def read(directory: Path) -> Artifact:
    """Read an artifact. Every file is verified by its hash before any is parsed. Raises ArtifactError."""
    manifest = _verified_manifest(directory)
    files = {name: _verified(directory, name, entry) for name, entry in manifest["files"].items()}
    return _parsed(f"{directory}", lambda: Artifact(version=manifest["version"], trained=_trained(manifest, files)))


def _files(trained: Trained) -> dict[str, bytes]:
    files = {_FOLDS: orjson.dumps(dict(trained.folds), option=_JSON), _FAMILIARITY: trained.familiarity.dump()}
    for index, member in enumerate(trained.members):
        files[f"members/{index}/experience.npz"] = _arrays_dumped(member.experience)
        files[f"members/{index}/forecast.npz"] = _forecast_dumped(member.forecast)
        files[f"members/{index}/forecast.model"] = member.forecast.trees.dump()
        files[f"members/{index}/forecast.json"] = orjson.dumps(
            [calibrator.as_json() for calibrator in member.forecast.calibrators], option=_JSON
        )
        for name in ("alone", "together", "outlook"):
            head: Head | None = getattr(member, name)
            if head is not None:
                place = f"members/{index}/{name}"
                described = {"weights": dict(head.weights), "calibration": head.calibrator.as_json()}
                files[f"{place}/head.json"] = orjson.dumps(described, option=_JSON)
                files |= {f"{place}/{kind}.model": model.dump() for kind, model in head.models.items()}
        files |= _prefix_dumped(f"members/{index}/prefix", member.prefix)
        if member.sorter is not None:
            files[f"members/{index}/{_SORTER}"] = _words_dumped(member.sorter)
    return files


def _prefix_dumped(place: str, head: PrefixHead | None) -> dict[str, bytes]:
    if head is None:
        return {}
    calibrations = [calibrator.as_json() for calibrator in head.calibrators]
    described = {"lengths": list(head.lengths), "calibrations": calibrations}
    return {f"{place}.json": orjson.dumps(described, option=_JSON), f"{place}.model": head.model.dump()}


def _prefix(place: str, files: Mapping[str, bytes]) -> PrefixHead | None:
    if f"{place}.json" not in files:  # not trained, or by an older version
        return None
    described = orjson.loads(files[f"{place}.json"])
    lengths = tuple(int(length) for length in described["lengths"])
    calibrators = tuple(Calibrator.from_json(data) for data in described["calibrations"])
    if not lengths or len(lengths) != len(calibrators) or sorted(set(lengths)) != list(lengths) or lengths[0] < 1:
        raise ArtifactError(f"{place}.json: lengths must ascend, each with its calibration")
    return PrefixHead(lengths=lengths, model=boosted.load(files[f"{place}.model"]), calibrators=calibrators)


def _manifest(trained: Trained, files: Mapping[str, bytes]) -> dict[str, Any]:
    manifest = {
        "format": FORMAT,
        "models": list(trained.models),
        "priors": dict(trained.priors),
        "n_folds": len(trained.members),
        "features": list(together_names(trained.models)),
        "packages": {name: package_version(name) for name in _PACKAGES},
        "report": trained.report,
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
        },
    }
    manifest |= {"categories": list(trained.categories)} if trained.categories else {}
    return manifest | {"version": _version(manifest)}


def _version(manifest: Mapping[str, Any]) -> str:
    content = {key: value for key, value in manifest.items() if key != "version"}
    return "sc_" + hashlib.sha256(orjson.dumps(content, option=_JSON)).hexdigest()[:24]


def _verified_manifest(directory: Path) -> dict[str, Any]:
    try:
        raw = (directory / MANIFEST).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{directory} holds no scorer: {MANIFEST}: {error.strerror}") from error
    try:
        manifest = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ArtifactError(f"{directory}/{MANIFEST} is not JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise ArtifactError(f"{directory}/{MANIFEST}: format must be {FORMAT!r}, not {found!r}; train the scorer again")
    if orjson.dumps(manifest, option=_JSON) != raw or manifest.get("version") != _version(manifest):
        raise ArtifactError(f"{directory}/{MANIFEST} was changed after it was written")
    entries = manifest.get("files")
    if not isinstance(entries, dict):
        raise ArtifactError(f"{directory}/{MANIFEST}: files must be an object")
    for name in entries:
        if not _NAME.fullmatch(name):
            raise ArtifactError(f"{directory}/{MANIFEST}: files: {name!r} is no name of a file within an artifact")
    return manifest


def _verified(directory: Path, name: str, entry: object) -> bytes:
    path = directory / name
    try:
        if not stat.S_ISREG(path.lstat().st_mode) or path.resolve().parent != (directory.resolve() / name).parent:
            raise ArtifactError(f"{path} must be a plain file within the artifact")
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    expected = entry.get("sha256") if isinstance(entry, dict) else None
    if hashlib.sha256(data).hexdigest() != expected:
        raise ArtifactError(f"{path} is not what the manifest says: its sha256 differs")
    return data


def _parsed(place: str, parse: Callable[[], Artifact]) -> Artifact:
    try:
        return parse()
    except (LookupError, TypeError, ValueError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{place} is not readable: {type(error).__name__}: {error}") from error


def _trained(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Trained:
    models = tuple(str(model) for model in manifest["models"])
    if tuple(manifest["features"]) != together_names(models):
        raise ArtifactError(
            "the scorer was trained with other features than this version of Spillway has; train it again"
        )
    categories = tuple(str(name) for name in manifest.get("categories", ()))
    members = tuple(_member(f"members/{index}", files) for index in range(int(manifest["n_folds"])))
    told = {0 if member.sorter is None else len(member.sorter.bias) for member in members}
    if told != {len(categories)} or len(set(categories)) != len(categories):
        raise ArtifactError(f"{MANIFEST}: categories must be different names, as many as every member tells apart")
    return Trained(
        models=models,
        folds={str(query_hash): int(fold) for query_hash, fold in orjson.loads(files[_FOLDS]).items()},
        priors={str(model): float(prior) for model, prior in manifest["priors"].items()},
        members=members,
        familiarity=Familiarity.load(files[_FAMILIARITY]),
        report=manifest["report"],
        categories=categories,
    )


def _member(place: str, files: Mapping[str, bytes]) -> Member:
    alone, together, outlook = (
        _head(f"{place}/{name}", files) if f"{place}/{name}/head.json" in files else None
        for name in ("alone", "together", "outlook")
    )
    return Member(
        experience=_arrays_loaded(files[f"{place}/experience.npz"]),
        alone=alone,
        together=together,
        forecast=_forecast(place, files),
        outlook=outlook,
        prefix=_prefix(f"{place}/prefix", files),
        sorter=_sorter(f"{place}/{_SORTER}", files),
    )


def _head(place: str, files: Mapping[str, bytes]) -> Head:
    described = orjson.loads(files[f"{place}/head.json"])
    weights = {str(kind): float(weight) for kind, weight in described["weights"].items()}
    if unknown := weights.keys() - KINDS.keys():
        raise ArtifactError(f"{place}/head.json: weights: unknown kind of model {min(unknown)!r}")
    return Head(
        models={kind: KINDS[kind][1](files[f"{place}/{kind}.model"]) for kind in weights},
        weights=weights,
        calibrator=Calibrator.from_json(described["calibration"]),
    )


def _words_dumped(model: LexicalModel) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{field.name: getattr(model, field.name) for field in fields(LexicalModel)})
    return buffer.getvalue()


def _sorter(name: str, files: Mapping[str, bytes]) -> LexicalModel | None:
    if name not in files:  # not trained, or by an older version
        return None
    with np.load(io.BytesIO(files[name]), allow_pickle=False) as arrays:
        model = LexicalModel(**{field.name: arrays[field.name] for field in fields(LexicalModel)})
    n_terms, n_dense, n_categories = len(model.ids), len(model.mean), len(model.bias)
    if model.weights.shape != (n_terms, n_categories) or model.dense.shape != (n_dense, n_categories):
        raise ArtifactError(f"{name}: weights must be of as many terms, features and categories as there are")
    return model


def _forecast(place: str, files: Mapping[str, bytes]) -> Forecast:
    with np.load(io.BytesIO(files[f"{place}/forecast.npz"]), allow_pickle=False) as arrays:
        words = LexicalModel(**{field.name: arrays[field.name] for field in fields(LexicalModel)})
        smearing = arrays["smearing"]
    return Forecast(
        words=words,
        calibrators=tuple(Calibrator.from_json(data) for data in orjson.loads(files[f"{place}/forecast.json"])),
        trees=boosted.load(files[f"{place}/forecast.model"]),
        smearing=smearing,
    )


def _forecast_dumped(forecast: Forecast) -> bytes:
    buffer = io.BytesIO()
    arrays = {field.name: getattr(forecast.words, field.name) for field in fields(LexicalModel)}
    np.savez(buffer, **arrays, smearing=forecast.smearing)
    return buffer.getvalue()


def _arrays_dumped(experience: Experience) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{field.name: getattr(experience, field.name) for field in fields(experience)})
    return buffer.getvalue()


def _arrays_loaded(data: bytes) -> Experience:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Experience(**{field.name: arrays[field.name].astype(np.float64) for field in fields(Experience)})
