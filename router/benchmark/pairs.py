"""Two models, weak and strong: how few queries must go to the strong one, by RouteLLM's protocol.

Knows scores that say how much the strong model is wanted, and labels. Knows no chain.

PGR, the performance gap recovered, is the share of the way from the weak model's quality to the strong one's; APGR its
mean over all shares of queries sent to the strong model; CPT50 and CPT80 the least share at which it is 50 and 80 %.
Source: Ong et al., "RouteLLM: learning to route LLMs with preference data", 2024 (arXiv:2406.18665). As published, the
weak model's call is not charged; after an answer it has been paid for, so figures that charge it stand beside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.optimize.bootstrap import interval
from scorer.dataset import LoggedQuery
from scorer.features.query import read_query
from scorer.models import lexical

Floats = NDArray[np.float64]

_DRAWS = 300
_PENALTY = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """wanted : (n,) how much the strong model is.   weak, strong : (n,) labels.   Costs: None where unknown."""

    wanted: Floats
    weak: Floats
    strong: Floats
    weak_cost: Floats | None = None
    strong_cost: Floats | None = None


def figures(pair: Pair, *, seed: int) -> dict[str, Any]:
    """APGR, CPT50 and CPT80 with intervals; charged ones where costs are known."""
    random = np.random.default_rng(seed)
    n = len(pair.wanted)
    drawn = [_measures(pair, random.integers(0, n, n)) for _ in range(_DRAWS)]
    whole = _measures(pair, np.arange(n))
    return {
        name: {"value": value, "ci95": list(interval(np.array([found[name] for found in drawn])))}
        for name, value in whole.items()
    }


def _measures(pair: Pair, rows: NDArray[np.intp]) -> dict[str, float]:
    order = rows[np.argsort(-pair.wanted[rows], kind="stable")]
    n = len(order)
    gained = np.append(0.0, np.cumsum(pair.strong[order] - pair.weak[order]))
    recovered = gained / gained[-1] if gained[-1] else np.zeros(n + 1)
    share = np.arange(n + 1) / n
    found = {
        "apgr": float(np.trapezoid(recovered, share)),
        "cpt50": float(share[np.argmax(recovered >= 0.5)]),
        "cpt80": float(share[np.argmax(recovered >= 0.8)]),
    }
    if pair.weak_cost is not None and pair.strong_cost is not None:
        strong = pair.strong_cost[order]
        spent = (pair.weak_cost[order].sum() + np.append(0.0, np.cumsum(strong))) / strong.sum()
        inside = spent <= 1.0
        found["apgr_charged"] = float(np.trapezoid(recovered[inside], spent[inside]) / 1.0)
        found["cpt50_charged"] = float(spent[np.argmax(recovered >= 0.5)])
        found["cpt80_charged"] = float(spent[np.argmax(recovered >= 0.8)])
    return found


def before_any_call(train: Sequence[LoggedQuery], held: Sequence[LoggedQuery], weak: str, strong: str) -> Floats:
    """(n held,) how much better the strong model's label is expected to be, from the query's words alone.

    One ridge on the difference of labels: the difference is what a router needs, and it is easier than either label.
    """
    readings = [read_query(query.query) for query in (*train, *held)]
    surface = np.stack([reading.values for reading in readings])
    gap = np.array([[query.labels[strong] - query.labels[weak]] for query in train])
    n = len(train)
    model = lexical.fit([r.terms for r in readings[:n]], surface[:n], gap, penalty=_PENALTY)
    predicted: Floats = model.predict([r.terms for r in readings[n:]], surface[n:])[:, 0]
    return predicted


def by_few_labels(
    train: Sequence[LoggedQuery], held: Sequence[LoggedQuery], weak: str, strong: str, *, n: int, draws: int, seed: int
) -> dict[str, float]:
    """Mean APGR over draws of n labels, with its standard deviation."""
    random = np.random.default_rng(seed)
    labels = [np.array([query.labels[model] for query in held]) for model in (weak, strong)]
    found = []
    for _ in range(draws):
        rows = random.choice(len(train), size=min(n, len(train)), replace=False)
        wanted = before_any_call([train[row] for row in rows], held, weak, strong)
        pair = Pair(wanted=wanted, weak=labels[0], strong=labels[1])
        found.append(_measures(pair, np.arange(len(held)))["apgr"])
    return {"value": float(np.mean(found)), "sd": float(np.std(found)), "draws": float(draws)}


def weak_and_strong(queries: Sequence[LoggedQuery]) -> tuple[str, str]:
    """The two models of a log, the worse first."""
    models = sorted(queries[0].labels)
    means = [float(np.mean([query.labels[model] for query in queries])) for model in models]
    return models[int(np.argmin(means))], models[int(np.argmax(means))]
