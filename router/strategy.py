"""A strategy: which models, in which order, with which thresholds, and on what evidence it was chosen.

Knows the file it is kept in. Knows nothing of how it is found or carried out.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from router.errors import StrategyError

FORMAT = 1
_SEEN_DIGITS = 16  # of a query's sha256: enough to tell queries apart, and a file that is still read with ease


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One tier of a cascade: an answer is accepted if its score reaches ``threshold``; None accepts every answer."""

    model: str
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a strategy was chosen on, so that nothing is later evaluated on it unknowingly."""

    rule: str  # e.g. "match-best", "budget-usd-per-1k=0.5"
    data_sha256: str  # of the sorted query hashes
    n_queries: int
    quality: float  # expected, on out-of-fold scores
    cost_usd_per_1k: float
    reference_quality: float
    reference_cost_usd_per_1k: float
    seen: frozenset[str] = frozenset()  # the first 16 digits of each query's hash
    held_out_saving: float | None = None  # cross-validated: each part judged by a choice made without it
    held_out_quality_delta: float | None = None
    note: str = ""  # what the reader should know, e.g. why no cascade was chosen

    @staticmethod
    def of_queries(query_hashes: Iterable[str]) -> tuple[str, frozenset[str]]:
        """``data_sha256`` and ``seen`` for the queries that something was chosen on."""
        ordered = sorted(query_hashes)
        digest = hashlib.sha256("\n".join(ordered).encode()).hexdigest()
        return digest, frozenset(query_hash[:_SEEN_DIGITS] for query_hash in ordered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Stages in calling order. ``reference_model`` is what savings are counted against; ``safe_model`` answers alone
    whenever the scorer abstains. ``id`` is a hash of everything but itself and ``created``."""

    id: str
    kind: Literal["threshold"]
    stages: tuple[Stage, ...]
    reference_model: str
    safe_model: str
    scorer_version: str | None
    evidence: Evidence | None
    created: str  # ISO 8601, UTC

    @classmethod
    def of(
        cls,
        stages: Sequence[Stage],
        *,
        reference_model: str,
        safe_model: str,
        scorer_version: str | None = None,
        evidence: Evidence | None = None,
        created: str | None = None,
    ) -> Self:
        """A checked threshold strategy with the id that its content gives. Raises StrategyError naming the field."""
        unnamed = cls(
            id="",
            kind="threshold",
            stages=tuple(stages),
            reference_model=reference_model,
            safe_model=safe_model,
            scorer_version=scorer_version,
            evidence=evidence,
            created=created or datetime.now(UTC).isoformat(timespec="seconds"),
        )
        strategy = dataclasses.replace(unnamed, id=unnamed.content_id())
        strategy.check()
        return strategy

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a strategy file. Raises StrategyError naming file and field, also if its content was changed by hand."""
        try:
            document = json.loads(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise StrategyError(f"{path}: cannot be read as JSON: {error}") from error
        try:
            strategy = cls._from_document(_Fields(document, ""))
            strategy.check()
        except StrategyError as error:
            raise StrategyError(f"{path}: {error}") from error
        if strategy.id != strategy.content_id():
            raise StrategyError(
                f"{path}: id: is {strategy.id!r}, but the content has {strategy.content_id()!r}: the file was changed "
                "after it was written; run `spillway optimize` again"
            )
        return strategy

    def dump(self, path: Path | str) -> None:
        """Write the strategy file. Raises StrategyError if the strategy is not sound or the file cannot be written."""
        self.check()
        try:
            Path(path).write_text(json.dumps(self.to_document(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise StrategyError(f"{path}: cannot be written: {error}") from error

    def to_document(self) -> dict[str, Any]:
        """The file's content as plain JSON values."""
        document: dict[str, Any] = {"format": FORMAT, **dataclasses.asdict(self)}
        if self.evidence is not None:
            document["evidence"]["seen"] = " ".join(sorted(self.evidence.seen))  # one line of the file, not thousands
        return document

    def content_id(self) -> str:
        """The id that this content must have."""
        content = self.to_document()
        del content["id"], content["created"]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return "st_" + hashlib.sha256(canonical.encode()).hexdigest()[:12]

    def check(self) -> None:
        """Raises StrategyError, naming the field, if the strategy could not be carried out."""
        if not self.stages:
            raise StrategyError("stages: must have at least one stage")
        for i, stage in enumerate(self.stages):
            last = i == len(self.stages) - 1
            if stage.threshold is None and not last:
                raise StrategyError(f"stages[{i}].threshold: must be a number, as further stages follow")
            if stage.threshold is not None and (last or not 0 <= stage.threshold <= 1):
                wanted = "null, as the last stage accepts every answer" if last else "between 0 and 1"
                raise StrategyError(f"stages[{i}].threshold: must be {wanted}, not {stage.threshold}")
            if stage.model in self.models[:i]:
                raise StrategyError(f"stages[{i}].model: {stage.model!r} is already called by an earlier stage")
        if self.needs_scorer and not self.scorer_version:
            raise StrategyError("scorer_version: must name the scorer that the thresholds belong to")

    @property
    def models(self) -> tuple[str, ...]:
        """The stages' models, in calling order."""
        return tuple(stage.model for stage in self.stages)

    @property
    def needs_scorer(self) -> bool:
        """Whether any stage has a threshold; a single model needs no scorer."""
        return any(stage.threshold is not None for stage in self.stages)

    def chosen_on(self, query_hash: str) -> bool:
        """Whether this query helped to choose the strategy."""
        return self.evidence is not None and query_hash[:_SEEN_DIGITS] in self.evidence.seen

    @classmethod
    def _from_document(cls, fields: "_Fields") -> Self:
        version = fields.take("format", int)
        if version != FORMAT:
            raise StrategyError(f"format: is {version}, this version reads {FORMAT}")
        kind = fields.take("kind", str)
        if kind != "threshold":
            raise StrategyError(f"kind: must be 'threshold', not {kind!r}")
        evidence = fields.take("evidence", dict, None)
        stages = fields.take("stages", list)
        strategy = cls(
            id=fields.take("id", str),
            kind="threshold",
            stages=tuple(_stage(_Fields(stage, f"stages[{i}].")) for i, stage in enumerate(stages)),
            reference_model=fields.take("reference_model", str),
            safe_model=fields.take("safe_model", str),
            scorer_version=fields.take("scorer_version", str, None),
            evidence=None if evidence is None else _evidence(_Fields(evidence, "evidence.")),
            created=fields.take("created", str),
        )
        fields.done()
        return strategy


def _stage(fields: "_Fields") -> Stage:
    stage = Stage(model=fields.take("model", str), threshold=fields.take("threshold", float, None))
    fields.done()
    return stage


def _evidence(fields: "_Fields") -> Evidence:
    evidence = Evidence(
        rule=fields.take("rule", str),
        data_sha256=fields.take("data_sha256", str),
        n_queries=fields.take("n_queries", int),
        quality=fields.take("quality", float),
        cost_usd_per_1k=fields.take("cost_usd_per_1k", float),
        reference_quality=fields.take("reference_quality", float),
        reference_cost_usd_per_1k=fields.take("reference_cost_usd_per_1k", float),
        seen=frozenset(fields.take("seen", str).split()),
        held_out_saving=fields.take("held_out_saving", float, None),
        held_out_quality_delta=fields.take("held_out_quality_delta", float, None),
        note=fields.take("note", str),
    )
    fields.done()
    return evidence


class _Fields:
    """Takes typed fields out of a JSON object and says which one is wrong, and whether any is left over."""

    def __init__(self, document: object, where: str) -> None:
        if not isinstance(document, Mapping):
            raise StrategyError(f"{where.rstrip('.') or 'the file'}: must be a JSON object")
        self._left: dict[str, Any] = dict(document)
        self._where = where

    def take(self, name: str, kind: type, *default: Any) -> Any:
        where = self._where + name
        if name not in self._left and not default:
            raise StrategyError(f"{where}: is missing")
        value: Any = self._left.pop(name, *default)
        if default and value is default[0]:
            return value
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            raise StrategyError(f"{where}: must be {_NAMES[kind]}, not {value!r:.60}")
        return value

    def done(self) -> None:
        if self._left:
            raise StrategyError(f"{self._where}{next(iter(self._left))}: is not a field that this version knows")


_NAMES = {int: "an integer", float: "a finite number", str: "a string", dict: "an object", list: "a list"}
