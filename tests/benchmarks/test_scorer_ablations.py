"""What each group of features is worth: the Brier score without it, and with what was tried beside it, out of fold.

Prints a table. Rows are answers beside random sets of others, from the training split; intervals are by query.
Measured, not asserted: what gains nothing is not in the scorer, and this is where it says so.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scorer import contexts
from scorer.analysing import table_of
from scorer.calibration import choose
from scorer.contexts import Samples
from scorer.dataset import LoggedQuery, read_log
from scorer.features import agreement, checks, logprobs, query, text
from scorer.features.experience import ExperienceByFold, facts_of
from scorer.features.matrix import PRIOR_NAMES, together_names
from scorer.features.table import AnswerTable
from scorer.folds import N_FOLDS, assign_folds
from scorer.lexicon import Terms, terms_of
from scorer.member import KINDS, features_of
from scorer.models import lexical
from scorer.models.scorer import Floats, sigmoid
from tests.benchmarks import tried_features

pytestmark = [pytest.mark.evidence, pytest.mark.data, pytest.mark.timeout(3600)]

USUAL_SETS = "zeroeval_gsm zeroeval_math_l5 zeroeval_crux mmlu_pro routellm_gsm8k"
SETS = tuple(os.environ.get("SPILLWAY_SETS", USUAL_SETS).split())
ROWS = 8_000
DRAWS = 500
SUMS = checks.NAMES[:5]
GROUPS: Mapping[str, Callable[[str], bool]] = {
    "query surface": lambda name: name in query.NAMES,
    "answer text": lambda name: name in text.NAMES,
    "re-checks, all": lambda name: name in checks.NAMES,
    "re-checks, sums only": lambda name: name in SUMS,
    "log-probabilities (none in this data)": lambda name: name in logprobs.NAMES,
    "model priors": lambda name: name in PRIOR_NAMES or name.startswith("is:"),
    "agreement, all": lambda name: name in agreement.NAMES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of one set: features as a member without the row's fold would see them, labels, folds."""

    names: tuple[str, ...]
    samples: Samples
    X: NDArray[np.float32]
    y: Floats
    folds: NDArray[np.int64]
    table: AnswerTable
    quality: Floats

    @classmethod
    def of(cls, queries: tuple[LoggedQuery, ...]) -> "Rows":
        models = tuple(sorted(queries[0].answers))
        table, folds = table_of(queries, models), assign_folds(queries)
        quality = np.array([[each.labels[model] for model in models] for each in queries])
        experience = ExperienceByFold(table, quality, folds)
        samples = contexts.together(table.present, table.present, 0)
        chosen = np.zeros(len(samples), dtype=np.bool_)
        chosen[np.random.default_rng(0).permutation(len(samples))[:ROWS]] = True
        samples = samples.where(chosen)
        own = folds[samples.rows]
        X = np.empty((len(samples), len(together_names(models))), dtype=np.float32)
        for fold in range(N_FOLDS):
            part = samples.where(own == fold)
            X[own == fold] = features_of("together", table, part, facts_of(experience.without({fold}), part.models))
        return cls(
            names=together_names(models),
            samples=samples,
            X=X,
            y=quality[samples.rows, samples.models],
            folds=own,
            table=table,
            quality=quality,
        )

    def added(self, queries: tuple[LoggedQuery, ...]) -> Mapping[str, NDArray[np.float32]]:
        """What was tried beside, in columns."""
        table, quality, samples, models = self.table, self.quality, self.samples, self.table.models
        folds = assign_folds(queries)
        words = [[terms_of(each.answers[m].answer.text[-1500:]) for m in models] for each in queries]
        who = tried_features.who_agrees(table, samples)
        pairs = tried_features.evidence(table, quality, folds, samples)
        texts = [[each.answers[m].answer.text.lower() for m in models] for each in queries]
        sketches = np.array([[tried_features.sketch(text) for text in row] for row in texts])
        alike = tried_features.likeness(sketches, table, samples)
        return {
            "words of the query, ridge": _words_of_queries(table.terms, quality, folds, samples),
            "words of the answer, ridge": _words_of_answers(words, quality, folds, samples),
            "pairwise evidence": pairs.astype(np.float32),
            "who agrees": who.astype(np.float32),
            "likeness of texts": alike.astype(np.float32),
            "all three": np.concatenate([pairs, who, alike], axis=1, dtype=np.float32, casting="same_kind"),
            "nearest logged queries, by model": _neighbours(table.terms, quality, folds, samples),
        }

    def out_of_fold(self, X: NDArray[np.float32]) -> Floats:
        """(r,) log-odds of every row by models that did not see its fold."""
        z = np.empty(len(self.y))
        for fold in range(N_FOLDS):
            held = self.folds == fold
            models = [fit(X[~held], self.y[~held], seed=0) for fit, _ in KINDS.values()]
            z[held] = np.mean([model.logits(X[held]) for model in models], axis=0)
        return z


class Changes:
    """Cells of the table: each set's mean change and its draws, resampling queries; and of them all, the sets' mean."""

    def __init__(self) -> None:
        self.whole: list[float] = []  # by set, the Brier score of everything
        self._cells: dict[str, list[tuple[float, Floats]]] = {}

    def add(self, label: str, change: Floats, rows: Rows) -> None:
        """One cell. change : (r,) of the squared error of every row."""
        _, unit = np.unique(rows.samples.rows, return_inverse=True)
        total, count = np.bincount(unit, change), np.bincount(unit)
        cells = self._cells.setdefault(label, [])
        draws = np.random.default_rng(len(cells)).integers(0, len(count), (DRAWS, len(count)))
        cells.append((float(change.mean()), total[draws].sum(axis=1) / count[draws].sum(axis=1)))

    def as_table(self) -> str:
        """Markdown, × 10⁴."""
        lines = [
            f"\n| change of Brier × 10⁴ (95 %, by query) | {' | '.join(SETS)} | macro |",
            "| --- |" + " --- |" * (len(SETS) + 1),
            "| everything (Brier × 10⁴) | "
            + " | ".join(f"{score * 1e4:.0f}" for score in (*self.whole, float(np.mean(self.whole))))
            + " |",
        ]
        for label, cells in self._cells.items():
            means, draws = zip(*cells, strict=True)
            macro = (float(np.mean(means)), np.mean(draws, axis=0))
            lines.append(f"| {label} | {' | '.join(_cell(*cell) for cell in (*cells, macro))} |")
        return "\n".join(lines)


def _cell(mean: float, draws: Floats) -> str:
    low, high = np.quantile(draws, (0.025, 0.975)) * 1e4
    return f"{mean * 1e4:+.1f} ({low:+.1f} … {high:+.1f})"


def test_feature_groups(replay_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Change of the Brier score without a group (positive: the group is worth something) and with an addition."""
    changes = Changes()
    for name in SETS:
        queries = read_log([replay_data / f"{name}.jsonl.gz"], split="train").queries
        rows = Rows.of(queries)
        z = rows.out_of_fold(rows.X)
        whole = (sigmoid(z) - rows.y) ** 2
        changes.whole.append(float(whole.mean()))
        for group, belongs in GROUPS.items():
            X = rows.X.copy()
            X[:, [belongs(column) for column in rows.names]] = np.nan
            changes.add(f"without {group}", (sigmoid(rows.out_of_fold(X)) - rows.y) ** 2 - whole, rows)
        for what, more in rows.added(queries).items():
            error = (sigmoid(rows.out_of_fold(np.concatenate([rows.X, more], axis=1))) - rows.y) ** 2
            changes.add(f"with {what}", error - whole, rows)
        calibrated = np.empty(len(z))
        for fold in range(N_FOLDS):
            held = rows.folds == fold
            calibrated[held] = choose(z[~held], rows.y[~held], rows.folds[~held])[0](z[held])
        changes.add("with the calibration chosen", (calibrated - rows.y) ** 2 - whole, rows)
        seen = np.mean([fit(rows.X, rows.y, seed=0).logits(rows.X) for fit, _ in KINDS.values()], axis=0)
        changes.add("not cross-fitted: what it would claim", (sigmoid(seen) - rows.y) ** 2 - whole, rows)
    with capsys.disabled():
        print(changes.as_table())


def _words_of_queries(
    terms: Sequence[Terms], quality: Floats, folds: NDArray[np.int64], samples: Samples
) -> NDArray[np.float32]:
    texts = list(terms)
    said = np.empty(quality.shape)
    nothing = np.zeros((len(texts), 1), dtype=np.float32)
    for fold in range(N_FOLDS):
        known, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = lexical.fit([texts[row] for row in known], nothing[known], quality[known], penalty=8.0)
        said[held] = model.predict([texts[row] for row in held], nothing[held])
    return said[samples.rows, samples.models, None].astype(np.float32)


def _words_of_answers(
    words: list[list[Terms]], quality: Floats, folds: NDArray[np.int64], samples: Samples
) -> NDArray[np.float32]:
    """Of all models' answers together, less their model's mean quality."""
    n, k = quality.shape
    said = np.empty((n, k))
    for fold in range(N_FOLDS):
        known, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        mean = quality[known].mean(axis=0)
        model = lexical.fit(
            [words[row][m] for row in known for m in range(k)],
            np.zeros((len(known) * k, 1), dtype=np.float32),
            (quality[known] - mean).reshape(-1, 1),
            penalty=8.0,
        )
        texts = [words[row][m] for row in held for m in range(k)]
        said[held] = model.predict(texts, np.zeros((len(texts), 1), dtype=np.float32)).reshape(-1, k)
    return said[samples.rows, samples.models, None].astype(np.float32)


def _neighbours(
    terms: Sequence[Terms], quality: Floats, folds: NDArray[np.int64], samples: Samples, n_nearest: int = 20
) -> NDArray[np.float32]:
    """Mean quality of the model on the nearest queries of other folds (cosine of words), and how near they are."""
    from scipy import sparse

    texts = list(terms)
    rows = np.repeat(np.arange(len(texts)), [len(each.ids) for each in texts])
    ids, places = np.unique(np.concatenate([each.ids for each in texts]), return_inverse=True)
    rarity = np.log(len(texts) / np.bincount(places))
    values = np.concatenate([each.counts for each in texts]) * rarity[places]
    X = sparse.csr_matrix((values, (rows, places)), shape=(len(texts), len(ids)))
    X = sparse.diags(1 / np.maximum(np.sqrt(X.multiply(X).sum(axis=1)).A1, 1e-9)) @ X
    near = (X @ X.T).toarray()
    near[folds[:, None] == folds[None, :]] = -1.0
    nearest = np.argsort(-near, axis=1)[:, :n_nearest]
    weight = np.maximum(np.take_along_axis(near, nearest, axis=1), 0.01)
    mean = (quality[nearest] * weight[..., None]).sum(axis=1) / weight.sum(axis=1, keepdims=True)
    found = np.stack([mean[samples.rows, samples.models], weight.mean(axis=1)[samples.rows]], axis=1)
    return found.astype(np.float32)
