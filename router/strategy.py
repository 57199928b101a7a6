"""A strategy: which models, in which order, by which thresholds or plan, and on what evidence it was chosen.

Knows the file it is kept in. Knows nothing of how it is found or carried out.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, get_args

from router.certificate import Certificate, mark
from router.entry import Entry
from router.errors import StrategyError
from router.fields import Fields
from router.plan import Plan

FORMAT = 2

Kind = Literal["threshold", "route", "cascade_route", "best_single"]
"""threshold: stage after stage, each accepting by its threshold.   route: one model, chosen before it is asked.
cascade_route: after every answer the plan stops, with the best answer seen, or says whom to ask.   best_single: one
model, always."""

_PLANNED = ("route", "cascade_route")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One tier of a cascade: an answer is accepted if its score reaches ``threshold``; None accepts every answer."""

    model: str
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtExchange:
    """What a plan came to out of fold at another exchange rate. Intervals hold 95 % over queries."""

    exchange: float
    quality: float
    quality_ci95: tuple[float, float]
    cost_usd_per_1k: float
    cost_ci95: tuple[float, float]


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
    seen: frozenset[str] = frozenset()  # the mark of each query
    held_out_saving: float | None = None  # cross-validated: each part judged by a choice made without it
    held_out_quality_delta: float | None = None
    note: str = ""  # what the reader should know, e.g. why no cascade was chosen
    frontier: tuple[AtExchange, ...] = ()  # of a plan: those that none beats, dear to cheap

    @staticmethod
    def of_queries(query_hashes: Iterable[str]) -> tuple[str, frozenset[str]]:
        """``data_sha256`` and ``seen`` for the queries that something was chosen on."""
        ordered = sorted(query_hashes)
        digest = hashlib.sha256("\n".join(ordered).encode()).hexdigest()
        return digest, frozenset(map(mark, ordered))


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """Stages in calling order; where there is a plan, the models that it may ask, cheapest first, without thresholds.

    ``reference_model`` is what savings are counted against; ``safe_model`` answers alone whenever the scorer abstains.
    ``plan`` is there for the kinds route and cascade_route. ``id`` is a hash of everything but itself and ``created``:
    so a certified strategy is another than the same one without its certificate, and whoever names the one names the
    other."""

    id: str
    kind: Kind
    stages: tuple[Stage, ...]
    reference_model: str
    safe_model: str
    scorer_version: str | None
    evidence: Evidence | None
    created: str  # ISO 8601, UTC
    certificate: Certificate | None = None
    plan: Plan | None = None
    release: float | None = None  # a score of the first stage's beginnings that lets its stream go
    entry: Entry | None = None  # at which stage queries of a category enter; None: all at the first

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
        entry: Entry | None = None,
    ) -> Self:
        """A checked threshold strategy, or a single model, with the id that its content gives.

        Raises StrategyError naming the field.
        """
        return cls._named(
            kind="threshold" if len(stages) != 1 else "best_single",
            stages=tuple(stages),
            reference_model=reference_model,
            safe_model=safe_model,
            scorer_version=scorer_version,
            evidence=evidence,
            created=created,
            entry=entry,
        )

    @classmethod
    def planned(
        cls,
        plan: Plan,
        *,
        safe_model: str,
        scorer_version: str,
        reference_model: str | None = None,
        evidence: Evidence | None = None,
        created: str | None = None,
    ) -> Self:
        """A checked strategy that follows a plan: ``route`` if it asks once, else ``cascade_route``."""
        return cls._named(
            kind="cascade_route" if plan.values else "route",
            stages=tuple(Stage(model=model) for model in plan.models),
            reference_model=reference_model or plan.reference,
            safe_model=safe_model,
            scorer_version=scorer_version,
            evidence=evidence,
            created=created,
            plan=plan,
        )

    @classmethod
    def _named(cls, *, created: str | None, **content: Any) -> Self:
        unnamed = cls(id="", created=created or datetime.now(UTC).isoformat(timespec="seconds"), **content)
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
            return cls.of_document(document)
        except StrategyError as error:
            raise StrategyError(f"{path}: {error}") from error

    @classmethod
    def of_document(cls, document: Any) -> Self:
        """What ``to_document`` made. Raises StrategyError naming the field, also if it was changed by hand."""
        strategy = cls._from_document(Fields(document, ""))
        strategy.check()
        if strategy.id != strategy.content_id():
            raise StrategyError(
                f"id: is {strategy.id!r}, but the content has {strategy.content_id()!r}: the file was changed "
                "after it was written; run `spillway optimize` again"
            )
        return strategy

    def releasing(self, release: float) -> Self:
        """This strategy, its first stage's streams let go at this score of their beginnings: another strategy."""
        strategy = dataclasses.replace(self, release=release)
        strategy = dataclasses.replace(strategy, id=strategy.content_id())
        strategy.check()
        return strategy

    def certified(self, certificate: Certificate) -> Self:
        """This strategy with its certificate, another strategy. Raises StrategyError if it is of others."""
        strategy = dataclasses.replace(self, certificate=certificate)
        strategy = dataclasses.replace(strategy, id=strategy.content_id())
        strategy.check()
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
            if not self.evidence.frontier:
                del document["evidence"]["frontier"]
        if self.release is None:
            del document["release"]
        if self.entry is None:
            del document["entry"]
        else:
            document["entry"] = self.entry.to_document()
        if self.plan is None:
            del document["plan"]
        else:
            document["plan"] = self.plan.to_document()
        if self.certificate is None:
            del document["certificate"]
        else:
            document["certificate"] = self.certificate.to_document()
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
        if (self.plan is not None) != (self.kind in _PLANNED):
            raise StrategyError(f"plan: {'must be there' if self.plan is None else 'means nothing'} for {self.kind!r}")
        if self.kind == "best_single" and len(self.stages) > 1:
            raise StrategyError("stages: must be one for the kind 'best_single'")
        if self.plan is None:
            self._check_thresholds()
        elif tuple(Stage(model=model) for model in self.plan.models) != self.stages:
            raise StrategyError("stages: must be the plan's models in its order, with threshold null")
        if self.release is not None and (self.kind != "threshold" or not 0 <= self.release <= 1):
            raise StrategyError("release: must be between 0 and 1, and of a strategy of the kind 'threshold'")
        self._check_entry()
        if self.needs_scorer and not self.scorer_version:
            raise StrategyError("scorer_version: must name the scorer that the strategy belongs to")
        if self.certificate is not None:
            self._check_certificate(self.certificate)

    def _check_entry(self) -> None:
        if self.entry is None:
            return
        if self.kind != "threshold" or self.release is not None:
            raise StrategyError("entry: must be of a strategy of the kind 'threshold' without release")
        self.entry.check(self.models)

    def _check_thresholds(self) -> None:
        for i, stage in enumerate(self.stages):
            last = i == len(self.stages) - 1
            if stage.threshold is None and not last:
                raise StrategyError(f"stages[{i}].threshold: must be a number, as further stages follow")
            if stage.threshold is not None and (last or not 0 <= stage.threshold <= 1):
                wanted = "null, as the last stage accepts every answer" if last else "between 0 and 1"
                raise StrategyError(f"stages[{i}].threshold: must be {wanted}, not {stage.threshold}")
            if stage.model in self.models[:i]:
                raise StrategyError(f"stages[{i}].model: {stage.model!r} is already called by an earlier stage")

    def check_scorer(self, version: str | None) -> None:
        """Raises StrategyError if the thresholds do not belong to the scorer of this version (None: there is none)."""
        if not self.needs_scorer or version == self.scorer_version:
            return
        if version is None:
            raise StrategyError(f"strategy {self.id} goes by scores: it needs the scorer {self.scorer_version}")
        raise StrategyError(
            f"strategy {self.id} belongs to the scorer {self.scorer_version}, not to {version}: "
            "it means nothing on other scores; run `spillway optimize` again"
        )

    @property
    def models(self) -> tuple[str, ...]:
        """The stages' models, in calling order."""
        return tuple(stage.model for stage in self.stages)

    @property
    def needs_scorer(self) -> bool:
        """Whether anything goes by scores; a single model needs no scorer."""
        return self.plan is not None or any(stage.threshold is not None for stage in self.stages)

    def chosen_on(self, query_hash: str) -> bool:
        """Whether this query helped to choose the strategy, or to certify it, which may have raised its thresholds."""
        told = (self.evidence, self.certificate)
        return any(mark(query_hash) in part.seen for part in told if part is not None)

    def _check_certificate(self, certificate: Certificate) -> None:
        own = dataclasses.replace(self, certificate=None).content_id()
        if certificate.strategy_id != own:
            raise StrategyError(f"certificate.strategy_id: is {certificate.strategy_id!r}, but the strategy is {own!r}")
        if certificate.reference_model != self.reference_model or certificate.scorer_version != self.scorer_version:
            raise StrategyError("certificate: is of another reference model or scorer than the strategy")

    @classmethod
    def _from_document(cls, fields: Fields) -> Self:
        version = fields.take("format", int)
        if version != FORMAT:
            raise StrategyError(f"format: is {version}, this version reads {FORMAT}")
        kind = fields.take("kind", str)
        if kind not in get_args(Kind):
            raise StrategyError(f"kind: must be one of {', '.join(get_args(Kind))}, not {kind!r}")
        evidence, certificate = fields.take("evidence", dict, None), fields.take("certificate", dict, None)
        plan, entry = fields.take("plan", dict, None), fields.take("entry", dict, None)
        stages = fields.take("stages", list)
        strategy = cls(
            id=fields.take("id", str),
            kind=kind,
            plan=None if plan is None else Plan.from_document(plan),
            stages=tuple(_stage(Fields(stage, f"stages[{i}].")) for i, stage in enumerate(stages)),
            reference_model=fields.take("reference_model", str),
            safe_model=fields.take("safe_model", str),
            scorer_version=fields.take("scorer_version", str, None),
            evidence=None if evidence is None else _evidence(Fields(evidence, "evidence.")),
            created=fields.take("created", str),
            certificate=None if certificate is None else Certificate.from_document(certificate),
            release=fields.take("release", float, None),
            entry=None if entry is None else Entry.from_document(entry),
        )
        fields.done()
        return strategy


def single(model: str) -> Strategy:
    """The strategy of asking one model and taking what it says."""
    return Strategy(
        id=f"single:{model}",
        kind="best_single",
        stages=(Stage(model=model),),
        reference_model=model,
        safe_model=model,
        scorer_version=None,
        evidence=None,
        created="1970-01-01T00:00:00Z",
    )


def _stage(fields: Fields) -> Stage:
    stage = Stage(model=fields.take("model", str), threshold=fields.take("threshold", float, None))
    fields.done()
    return stage


def _evidence(fields: Fields) -> Evidence:
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
        frontier=tuple(
            _at_exchange(Fields(point, f"evidence.frontier[{n}]."))
            for n, point in enumerate(fields.take("frontier", list, []))
        ),
    )
    fields.done()
    return evidence


def _at_exchange(fields: Fields) -> AtExchange:
    point = AtExchange(
        exchange=fields.take("exchange", float),
        quality=fields.take("quality", float),
        quality_ci95=_interval(fields, "quality_ci95"),
        cost_usd_per_1k=fields.take("cost_usd_per_1k", float),
        cost_ci95=_interval(fields, "cost_ci95"),
    )
    fields.done()
    return point


def _interval(fields: Fields, name: str) -> tuple[float, float]:
    bounds = fields.take(name, list)
    if len(bounds) != 2 or not all(isinstance(bound, int | float) and math.isfinite(bound) for bound in bounds):
        raise StrategyError(f"evidence.frontier: {name}: must be two finite numbers, not {bounds!r:.60}")
    return float(bounds[0]), float(bounds[1])
