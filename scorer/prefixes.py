"""Training on the beginnings of answers: is the whole answer going to be good?

Rows are the beginnings of every labelled answer at every length that it exceeds. Cross-fitting is as in ``training``:
what member j is calibrated with comes from models that saw neither fold j nor the fold that they score. One model
judges all lengths (the length is among its features), and each length has its own calibration. Knows no file.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorer import contexts
from scorer.analysing import beginnings_of
from scorer.beginnings import LENGTHS
from scorer.calibration import choose
from scorer.contexts import Samples
from scorer.dataset import LoggedQuery
from scorer.errors import TooLittleData
from scorer.evaluation import report_of
from scorer.features.experience import ExperienceByFold, facts_of
from scorer.features.table import AnswerTable
from scorer.folds import N_FOLDS
from scorer.member import KINDS, PrefixHead, features_of
from scorer.models.scorer import Features, Floats, QualityModel, is_one_class

_LEAST_ROWS = 200  # of one length, to calibrate it

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """heads : one for each member.   report : by length, how well beginnings are judged out of fold."""

    heads: tuple[PrefixHead, ...]
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One length's rows, with their labels and folds."""

    length: int
    table: AnswerTable
    samples: Samples
    y: Floats
    folds: NDArray[np.int64]


def fit(
    queries: Sequence[LoggedQuery],
    models: Sequence[str],
    quality: Floats,
    folds: NDArray[np.int64],
    experience: ExperienceByFold,
    *,
    seed: int,
    progress: Progress,
) -> Fitted:
    """quality : (n, k) labels, nan where there is none.   folds : (n,).   experience : of the whole answers.

    Raises TooLittleData where answers are too short, or too few, to have beginnings worth judging.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn; serving never needs it

    parts = [part for length in LENGTHS if (part := _part(queries, models, quality, folds, length)) is not None]
    if not parts:
        said = f"fewer than {_LEAST_ROWS} labelled answers are longer than {LENGTHS[0]} characters"
        raise TooLittleData(f"{said}: there are no beginnings to learn from")
    inner = [np.full((N_FOLDS, len(part.y)), np.nan) for part in parts]
    pairs = list(itertools.combinations(range(N_FOLDS), 2))
    total = len(pairs) + N_FOLDS
    singles: list[QualityModel] = []
    with threadpool_limits(1):
        for done, pair in enumerate(pairs):
            progress("fitting beginnings", done, total)
            model = _fitted(parts, frozenset(pair), experience, seed)
            for part, views in zip(parts, inner, strict=True):
                for scored, member in itertools.permutations(pair):
                    chosen = part.folds == scored
                    if chosen.any():
                        views[member, chosen] = model.logits(_features(part, chosen, frozenset(pair), experience))
        for fold in range(N_FOLDS):
            progress("fitting beginnings", len(pairs) + fold, total)
            singles.append(_fitted(parts, frozenset((fold,)), experience, seed))
    progress("fitting beginnings", total, total)
    lengths = tuple(part.length for part in parts)
    heads = tuple(
        PrefixHead(
            lengths=lengths,
            model=model,
            calibrators=tuple(
                choose(views[fold, part.folds != fold], part.y[part.folds != fold], part.folds[part.folds != fold])[0]
                for part, views in zip(parts, inner, strict=True)
            ),
        )
        for fold, model in enumerate(singles)
    )
    return Fitted(heads=heads, report=_report(parts, heads, experience, models, seed))


def _part(
    queries: Sequence[LoggedQuery], models: Sequence[str], quality: Floats, folds: NDArray[np.int64], length: int
) -> _Part | None:
    table = beginnings_of(queries, models, length)
    samples = contexts.alone(table.present & ~np.isnan(quality))
    y = quality[samples.rows, samples.models]
    if len(y) < _LEAST_ROWS or is_one_class(y):
        return None
    return _Part(length=length, table=table, samples=samples, y=y, folds=folds[samples.rows])


def _fitted(parts: Sequence[_Part], held: frozenset[int], experience: ExperienceByFold, seed: int) -> QualityModel:
    masks = [~np.isin(part.folds, list(held)) for part in parts]
    X = np.concatenate([_features(part, mask, held, experience) for part, mask in zip(parts, masks, strict=True)])
    y = np.concatenate([part.y[mask] for part, mask in zip(parts, masks, strict=True)])
    return KINDS["boosted"][0](X, y, seed=seed)


def _features(part: _Part, chosen: NDArray[np.bool_], held: frozenset[int], experience: ExperienceByFold) -> Features:
    """(r, F) features of the chosen rows, each with the experience without the held folds and its own."""
    rows, folds = part.samples.where(chosen), part.folds[chosen]
    pieces: list[Features] = []
    order: list[NDArray[np.intp]] = []
    for fold in np.unique(folds).tolist():
        mask = folds == fold
        own = rows.where(mask)
        pieces.append(features_of("alone", part.table, own, facts_of(experience.without(held | {fold}), own.models)))
        order.append(np.flatnonzero(mask))
    X = np.concatenate(pieces)
    X[np.concatenate(order)] = X.copy()
    return X


def _report(
    parts: Sequence[_Part],
    heads: Sequence[PrefixHead],
    experience: ExperienceByFold,
    models: Sequence[str],
    seed: int,
) -> Mapping[str, Any]:
    told = {}
    for place, part in enumerate(parts):
        p = np.empty(len(part.y))
        for fold, head in enumerate(heads):
            mask = part.folds == fold
            if mask.any():
                X = _features(part, mask, frozenset((fold,)), experience)
                p[mask] = head.score(X, place)
        samples = part.samples
        told[str(part.length)] = report_of(p, part.y, samples.rows, samples.models, tuple(models), seed=seed)
    return told
