"""Training: from labelled queries to cross-fitted members, and a report on answers that they did not see.

Knows the order of the work and what may see what. Knows no file.

There are K folds. The member of fold j is fitted on the other folds. What it is calibrated with, and how its models are
weighed, comes from models that saw neither fold j nor the fold i that they score: the K(K−1)/2 models without {i, j}
serve both members i and j. A training row's experience always leaves out the row's own fold as well.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer import contexts, forecast, sorting
from scorer import prefixes as prefixes_of
from scorer.analysing import table_of
from scorer.calibration import calibrate, choose
from scorer.contexts import Samples
from scorer.dataset import LoggedQuery
from scorer.errors import TooLittleData
from scorer.evaluation import report_of
from scorer.familiarity import RATE, Familiarity
from scorer.features.experience import ExperienceByFold, facts_of
from scorer.features.table import AnswerTable
from scorer.folds import N_FOLDS, assign_folds
from scorer.member import KINDS, Head, Member, Trained, features_of, outlook_features
from scorer.models import linear
from scorer.models.lexical import LexicalModel
from scorer.models.scorer import Features, Floats, QualityModel, is_one_class, logit, sigmoid

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is to do."""

_MOST_WORKERS = 4
_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the first of two models
_QUERY_SHARE = 3.0  # rows' worth of one query, where all of its rows say much the same
_PREFERENCE = 1e-4  # Brier by which an uneven weighing must beat the even one


Bases = Mapping[str, QualityModel]


def train(
    queries: Sequence[LoggedQuery],
    *,
    kinds: Iterable[str] = ("linear", "boosted"),
    seed: int = 0,
    progress: Progress = lambda doing, done, total: None,
    prefixes: bool = False,
    categories: bool = False,
) -> Trained:
    """Fit a scorer to logged answers with labels. Queries with labels alone teach it what to expect before a call.

    kinds : which models are put together, of member.KINDS.
    categories : also learn to tell which category a query is of, for strategies that enter by it.
    prefixes : also learn to judge the beginnings of answers, for streams that are let go before they are whole.
    Raises TooLittleData if there are too few queries, or labels of one class only.
    """
    queries = [query for query in queries if query.labels]
    if not queries:
        raise TooLittleData("the log has no labels; a scorer is trained on answers with their quality")
    models = tuple(sorted({model for query in queries for model in query.labels}))
    quality = np.array([[query.labels.get(model, np.nan) for model in models] for query in queries])
    labels = quality[~np.isnan(quality)]
    if is_one_class(labels):
        raise TooLittleData(
            f"every answer of the log has the quality {labels[0]:g}; a scorer needs good and bad answers"
        )
    folds = assign_folds(queries)
    table = table_of(queries, models, progress)
    fitting = _Fitting(table, quality, _log_tokens(queries, models), folds, tuple(kinds), seed)
    members = fitting.members(progress)
    report = dict(fitting.report(members))
    if prefixes:
        begun = fitting.beginnings(queries, progress)
        members = tuple(replace(m, prefix=head) for m, head in zip(members, begun.heads, strict=True))
        report["beginnings"] = begun.report
    names: tuple[str, ...] = ()
    if categories:
        sorted_by = sorting.fit([query.query.task for query in queries], table, folds, seed=seed, progress=progress)
        members = tuple(replace(m, sorter=sorter) for m, sorter in zip(members, sorted_by.sorters, strict=True))
        names, report["categories"] = sorted_by.names, sorted_by.report
    familiarity = Familiarity.fit(
        [query.query for query in queries],
        [query.hash for query in queries],
        [query.group or query.hash for query in queries],
    )
    return Trained(
        models=models,
        folds={query.hash: int(fold) for query, fold in zip(queries, folds, strict=True)},
        priors={model: float(np.nanmean(quality[:, index])) for index, model in enumerate(models)},
        members=members,
        familiarity=familiarity,
        categories=names,
        report={**report, "unlike": {"rate": RATE, "share": familiarity.share(RATE)}},
    )


@dataclass(slots=True)
class _HeadData:
    """The rows of one head, their labels and folds, and each member's view of them: (K, r) log-odds by kind."""

    samples: Samples
    y: Floats
    folds: NDArray[np.int64]
    inner: dict[str, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fitted:
    """What was fitted without some folds: models by head and kind, and the regression on the queries' words."""

    heads: Mapping[str, Bases]
    words: LexicalModel


class _Fitting:
    def __init__(
        self,
        table: AnswerTable,
        quality: Floats,
        log_tokens: Floats,
        folds: NDArray[np.int64],
        kinds: tuple[str, ...],
        seed: int,
    ) -> None:
        self._table, self._models, self._kinds, self._seed = table, table.models, kinds, seed
        self._quality, self._log_tokens, self._folds = quality, log_tokens, folds
        self._unseen = np.full((N_FOLDS, len(quality), 2 * len(table.models)), np.nan)  # what words said, by member
        self._experience = ExperienceByFold(table, quality, folds)
        usable = table.present & ~np.isnan(quality)
        drawn = {"alone": contexts.alone(usable), "together": contexts.together(usable, table.present, seed)}
        self._heads = {
            name: _HeadData(
                samples=samples,
                y=quality[samples.rows, samples.models],
                folds=folds[samples.rows],
                inner={kind: np.full((N_FOLDS, len(samples)), np.nan) for kind in kinds},
            )
            for name, samples in drawn.items()
            if len(samples)
        }

    def members(self, progress: Progress) -> tuple[Member, ...]:
        """One member for each fold."""
        from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn; serving never needs it

        pairs = [frozenset(pair) for pair in itertools.combinations(range(N_FOLDS), 2)]
        singles = [frozenset((fold,)) for fold in range(N_FOLDS)]
        total = len(pairs) + len(singles)
        bases: list[_Fitted] = []
        progress("fitting", 0, total)
        with threadpool_limits(1), ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_WORKERS)) as pool:
            for done, (held, fitted) in enumerate(zip(pairs, pool.map(self._fit, pairs), strict=True), start=1):
                self._look_at(held, fitted)
                progress("fitting", done, total)
            for done, fitted in enumerate(pool.map(self._fit, singles), start=len(pairs) + 1):
                bases.append(fitted)
                progress("fitting", done, total)
        return tuple(self._member(fold, fitted) for fold, fitted in enumerate(bases))

    def beginnings(self, queries: Sequence[LoggedQuery], progress: Progress) -> prefixes_of.Fitted:
        """Heads that judge the beginnings of answers, one for each member."""
        return prefixes_of.fit(
            queries, self._models, self._quality, self._folds, self._experience, seed=self._seed, progress=progress
        )

    def report(self, members: Sequence[Member]) -> Mapping[str, Any]:
        """Every row scored by the member that did not see its fold."""
        sections: dict[str, Any] = {"expected": self._expected(members)}
        for name, data in self._heads.items():
            p = np.empty(len(data.samples))
            for fold, member in enumerate(members):
                mask = data.folds == fold
                p[mask] = member.score(self._table, data.samples.where(mask))
            sections[name] = report_of(p, data.y, data.samples.rows, data.samples.models, self._models, seed=self._seed)
            heads = [head for member in members if (head := getattr(member, name)) is not None]
            sections[name] |= {
                "weights": [dict(head.weights) for head in heads],
                "calibration": [head.calibrator.method for head in heads],
            }
        return {
            "n_queries": len(self._table),
            "n_answers": int(self._table.present.sum()),
            "n_folds": N_FOLDS,
            "kinds": list(self._kinds),
            "seed": self._seed,
            "out_of_fold": sections,
        }

    def _expected(self, members: Sequence[Member]) -> Mapping[str, Any]:
        p = np.empty(self._quality.shape)
        for fold, member in enumerate(members):
            mask = self._folds == fold
            part = self._table.take(mask)
            p[mask], _ = member.forecast.expect(part.terms, part.query_values)
        rows, models = np.nonzero(~np.isnan(self._quality))
        y = self._quality[rows, models]
        return report_of(p[rows, models], y, rows, models, self._models, seed=self._seed)

    def _fit(self, held: frozenset[int]) -> "_Fitted":
        """Models of every head, fitted without the held folds."""
        fitted: dict[str, Bases] = {}
        for name, data in self._heads.items():
            chosen = ~np.isin(data.folds, list(held))
            X, y = self._features(name, chosen, held), data.y[chosen]
            fitted[name] = {kind: KINDS[kind][0](X, y, seed=self._seed) for kind in self._kinds}
        return _Fitted(heads=fitted, words=self._words(held))

    def _words(self, held: frozenset[int]) -> LexicalModel:
        chosen = np.flatnonzero(~np.isin(self._folds, list(held)))
        texts = [self._table.terms[row] for row in chosen.tolist()]
        surface = self._table.query_values[chosen]
        return forecast.fit(texts, surface, self._quality[chosen], self._log_tokens[chosen])

    def _features(self, name: str, chosen: NDArray[np.bool_], held: frozenset[int]) -> Features:
        """(r, F) features of the chosen rows, each with the experience without the held folds and its own."""
        data = self._heads[name]
        part, folds = data.samples.where(chosen), data.folds[chosen]
        X: Features | None = None
        for fold in np.unique(folds).tolist():
            mask = folds == fold
            rows = part.where(mask)
            experience = self._experience.without(held | {fold})
            facts = facts_of(experience, rows.models)
            values = features_of(name, self._table, rows, facts)
            X = np.empty((len(folds), values.shape[1]), dtype=np.float32) if X is None else X
            X[mask] = values
        if X is None:
            raise TooLittleData("a fold has no answers to learn from")
        return X

    def _look_at(self, held: frozenset[int], fitted: "_Fitted") -> None:
        """Keep what models without folds {i, j} say of fold i, for member j, and of fold j, for member i."""
        for scored, member in itertools.permutations(held):
            rows = np.flatnonzero(self._folds == scored)
            texts = [self._table.terms[row] for row in rows.tolist()]
            self._unseen[member, rows] = fitted.words.predict(texts, self._table.query_values[rows])
        for name, bases in fitted.heads.items():
            data = self._heads[name]
            for scored, member in itertools.permutations(held):
                chosen = data.folds == scored
                if chosen.any():
                    X = self._features(name, chosen, held)
                    for kind, model in bases.items():
                        data.inner[kind][member, chosen] = model.logits(X)

    def _member(self, fold: int, fitted: "_Fitted") -> Member:
        heads = {name: self._head(self._heads[name], fold, bases) for name, bases in fitted.heads.items()}
        known = self._folds != fold
        before = forecast.finished(
            fitted.words,
            forecast.Seen(
                said_quality=self._unseen[fold, known, : len(self._models)],
                quality=self._quality[known],
                said_length=self._unseen[fold, known, len(self._models) :],
                log_tokens=self._log_tokens[known],
            ),
            self._table.query_values[known],
            seed=self._seed,
        )
        return Member(
            experience=self._experience.without({fold}),
            alone=heads.get("alone"),
            together=heads.get("together"),
            forecast=before,
            outlook=self._outlook(fold, heads["alone"], before) if "together" in heads else None,
        )

    def _outlook(self, fold: int, alone: Head, before: forecast.Forecast) -> Head:
        """What answers say about models that have not answered, from what was said of rows without their labels.

        All rows of a query together count as much as a few: they share most of their features, so that more of them
        know no more; unweighted ones, and trees, learn the queries by heart.
        """
        own, data = self._heads["alone"], self._heads["together"]
        known = own.folds != fold
        z = sum((alone.weights[kind] * own.inner[kind][fold, known] for kind in alone.weights), np.zeros(known.sum()))
        looks = np.zeros(self._quality.shape)
        looks[own.samples.rows[known], own.samples.models[known]] = logit(alone.calibrator(z))
        expected = before.p_of(self._unseen[fold, :, : len(self._models)], self._table.query_values)
        chosen = data.folds != fold
        X = outlook_features(
            self._table,
            data.samples.where(chosen),
            logit(expected),
            looks,
            logit(self._experience.without({fold}).accuracy),
        )
        queries = data.samples.rows[chosen]
        model = linear.fit(X, data.y[chosen], seed=self._seed, share=_QUERY_SHARE / np.bincount(queries)[queries])
        plain = calibrate(np.empty(0), np.empty(0), "identity")
        return Head(models={"linear": model}, weights={"linear": 1.0}, calibrator=plain)

    def _head(self, data: _HeadData, fold: int, bases: Bases) -> Head:
        known = data.folds != fold
        views = {kind: data.inner[kind][fold, known] for kind in self._kinds}
        weights = _weighed(views, data.y[known])
        z = sum((weights[kind] * view for kind, view in views.items()), np.zeros(int(known.sum())))
        calibrator, _ = choose(z, data.y[known], data.folds[known])
        used = {kind: model for kind, model in bases.items() if weights[kind] > 0}
        return Head(models=used, weights={kind: weights[kind] for kind in used}, calibrator=calibrator)


def _log_tokens(queries: Sequence[LoggedQuery], models: Sequence[str]) -> Floats:
    """(n, k) log of completion tokens, nan where a model did not answer."""
    tokens = [
        [query.answers[model].usage.completion_tokens if model in query.answers else np.nan for model in models]
        for query in queries
    ]
    return np.log(np.maximum(np.array(tokens, dtype=np.float64), 1.0))


def _weighed(views: Mapping[str, Floats], y: Floats) -> dict[str, float]:
    """Weights of one model or two by Brier score; even ones unless others are plainly better."""
    kinds = list(views)
    if len(kinds) == 1:
        return {kinds[0]: 1.0}
    first, second = kinds

    def loss(weight: float) -> float:
        p = sigmoid(weight * views[first] + (1 - weight) * views[second])
        return float(np.mean((p - y) ** 2)) - (_PREFERENCE if weight == 0.5 else 0.0)

    best = min(_WEIGHTS, key=loss)
    return {first: best, second: 1.0 - best}
