"""Whether quality holds: what people said of answers, whether scores mean what they say, drift, and certificates.

Where nobody has said anything, that is said: a score is the scorer's belief, no measurement.
Knows no SQL, no HTML and no HTTP.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from gateway.dashboard import numbers
from gateway.dashboard.facts import Facts
from gateway.dashboard.panel import Card, Chart, Column, Content, Panel, Series, Table, ToDo, Value
from gateway.ledger.newest import Seen
from gateway.ledger.reviews import Labelled
from scorer.evaluation import expected_calibration_error, stability_index

Voids = Mapping[date, Mapping[str, int]]
NO_VOIDS: Voids = {}
BINS = 5  # of a reliability diagram of people's labels, which are few
FEWEST = 30  # labels of a tier, before anything is said of its calibration
_Z = 1.96
_COLORS = ("first", "second", "third", "fourth")
_SHIFTED = 0.2  # a stability index above it is a shift that deserves a look
_FEWEST_SCORES = 1000  # of fewer, chance alone looks like a shift


def quality(facts: Facts, newest: Sequence[Seen], labelled: Sequence[Labelled], voids: Voids = NO_VOIDS) -> Content:
    """The page of a period. newest : of its requests.   labelled : of its requests, those that people spoke of.

    voids : requests for which a certificate did not hold, by day and reason.
    """
    drift = _drift(facts, newest)
    return Content(
        cards=_cards(newest, labelled),
        todos=tuple(_todos(facts, drift)),
        panels=(
            _labels(labelled),
            drift,
            _reliability(labelled),
            _history(newest),
            _scores(newest),
            _certificates(facts),
            _voided(voids),
        ),
        remarks=()
        if labelled
        else (
            "No labels yet: nobody has said of an answer whether it was good, so nothing here is measured. The page "
            "Review asks about "
            "answers drawn by chance.",
        ),
    )


def interval(labels: Sequence[float]) -> tuple[float, float, float] | None:
    """Mean of labels in [0, 1] with a 95 % interval (Wilson's; for labels in between it is too wide)."""
    n = len(labels)
    if not n:
        return None
    mean = sum(labels) / n
    centre = (mean + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(mean * (1 - mean) / n + _Z**2 / (4 * n**2))
    return max(0.0, centre - half), mean, min(1.0, centre + half)


def _cards(newest: Sequence[Seen], labelled: Sequence[Labelled]) -> tuple[Card, ...]:
    told = interval([one.label for one in labelled])
    given = [
        call.score
        for request in newest
        for call in request.steps
        if call.attempt_id == request.answered_attempt and call.score is not None
    ]
    more = "no labels yet" if told is None else f"95 %: {numbers.share(told[0])} to {numbers.share(told[2])}"
    return (
        Card(label="Quality, as people said", value=None if told is None else told[1], kind="share", more=more),
        Card(
            label="Labels",
            value=len(labelled),
            kind="count",
            more="drawn by chance, each counting alike: the effective sample size is their number",
        ),
        Card(
            label="Quality, as the scorer believes",
            value=sum(given) / len(given) if given else None,
            kind="share",
            more=f"mean score of {numbers.count(len(given))} answers that were given and scored; no measurement",
        ),
    )


def _labels(labelled: Sequence[Labelled]) -> Panel:
    groups: dict[tuple[str, int, str], list[Labelled]] = {}
    for one in labelled:
        groups.setdefault((one.policy or "–", one.stage + 1, one.model), []).append(one)
    rows: list[tuple[Value, ...]] = []
    for (policy, tier, model), listed in sorted(groups.items()):
        told = interval([one.label for one in listed])
        assert told is not None  # noqa: S101 - there is one at least
        rows.append((policy, tier, model, len(listed), told[1], told[0], told[2]))
    return Panel(
        id="labels",
        title="What people said, by who answered",
        table=Table(
            columns=(
                Column(name="Policy"),
                Column(name="Tier", kind="count"),
                Column(name="Model"),
                Column(name="Labels", kind="count"),
                Column(name="Quality", kind="share"),
                Column(name="At least", kind="share"),
                Column(name="At most", kind="share"),
            ),
            rows=tuple(rows),
        ),
        open=True,
        empty="No labels yet.",
        note="At least, at most: 95 %.",
    )


def _reliability(labelled: Sequence[Labelled]) -> Panel:
    """Scores beside labels, tier by tier, in bins of equally many."""
    scored: dict[str, list[tuple[float, float]]] = {}
    for one in labelled:
        if one.score is not None:
            scored.setdefault(f"{one.stage + 1} · {one.model}", []).append((one.score, one.label))
    enough = {name: np.array(sorted(pairs)) for name, pairs in sorted(scored.items()) if len(pairs) >= FEWEST}
    rows: list[tuple[Value, ...]] = []
    x: list[float] = []
    series: list[tuple[str, list[float | None]]] = []
    for name, pairs in enough.items():
        error = expected_calibration_error(pairs[:, 0], pairs[:, 1], BINS)
        values: list[float | None] = [None] * len(x)
        for part in np.array_split(pairs, BINS):
            score, label = float(part[:, 0].mean()), float(part[:, 1].mean())
            rows.append((name, len(part), score, label, error))
            x.append(score)
            values.append(label)
        series.append((name, values))
    short = [f"{name} has {len(pairs)}" for name, pairs in sorted(scored.items()) if len(pairs) < FEWEST]
    n = len(x)
    return Panel(
        id="reliability",
        title="Do scores mean what they say?",
        chart=Chart(
            kind="plane",
            labels=(),
            unit="share",
            x=(*x, 0.0, 1.0),
            x_unit="probability",
            x_title="score",
            series=(
                *(
                    Series(
                        name=name,
                        color=f"{_COLORS[i % len(_COLORS)]}",
                        values=(*values, *([None] * (n + 2 - len(values)))),
                    )
                    for i, (name, values) in enumerate(series)
                ),
                Series(name="as they should", color="plain", dashed=True, values=(*([None] * n), 0.0, 1.0)),
            ),
        )
        if rows
        else None,
        table=Table(
            columns=(
                Column(name="Tier and model"),
                Column(name="Labels", kind="count"),
                Column(name="Mean score", kind="probability"),
                Column(name="Mean label", kind="probability"),
                Column(name="Calibration error of the tier", kind="probability"),
            ),
            rows=tuple(rows),
        ),
        note=f"The calibration error is the mean gap between the two, over {BINS} bins of equally many labels; some "
        "of it is chance.",
        empty=f"A tier needs {FEWEST} labelled answers with a score." + (f" {'; '.join(short)}." if short else ""),
        wide=False,
    )


def _drift(facts: Facts, newest: Sequence[Seen]) -> Panel:
    """Traffic that is unlike the scorer's training data, against how much of it there should be."""
    rates = {policy.name: policy.unlike_rate for policy in facts.policies if policy.strategy is not None}
    groups: dict[str, list[bool]] = {}
    for request in newest:
        if request.policy is not None and request.strategy_id is not None and request.status not in ("cached", None):
            groups.setdefault(request.policy, []).append((request.abstention or "").startswith("unlike"))
    rows: list[tuple[Value, ...]] = []
    for policy, doubts in sorted(groups.items()):
        told = interval([float(doubt) for doubt in doubts])
        assert told is not None  # noqa: S101 - there is one at least
        expected = rates.get(policy)
        state = "–" if expected is None else "more than expected" if told[0] > expected else "as expected"
        rows.append((policy, len(doubts), told[1], told[0], told[2], expected, state))
    return Panel(
        id="drift",
        title="Traffic unlike the scorer's training data",
        table=Table(
            columns=(
                Column(name="Policy"),
                Column(name="Requests", kind="count"),
                Column(name="Unlike", kind="share"),
                Column(name="At least", kind="share", spare=True),
                Column(name="At most", kind="share", spare=True),
                Column(name="Expected", kind="share"),
                Column(name="State"),
            ),
            rows=tuple(rows),
        ),
        open=True,
        wide=True,
        note=f"Of the newest {numbers.count(len(newest))} requests. Such requests go to the safe model.",
    )


def _scores(newest: Sequence[Seen]) -> Panel:
    """Whether first answers' scores are distributed as they were in the older half of the same requests."""
    groups: dict[str, list[float]] = {}
    for request in reversed(newest):
        first = next((call for call in request.answers if call.stage == 0 and call.score is not None), None)
        if first is not None and first.score is not None and request.policy is not None:
            groups.setdefault(request.policy, []).append(first.score)
    rows: list[tuple[Value, ...]] = []
    for policy, scores in sorted(groups.items()):
        half = len(scores) // 2
        older, newer = np.array(scores[:half]), np.array(scores[half:])
        shift = stability_index(older, newer) if len(scores) >= _FEWEST_SCORES else None
        state = f"needs {_FEWEST_SCORES} scores" if shift is None else "shifted" if shift > _SHIFTED else "stable"
        rows.append((policy, len(scores), float(older.mean()) if half else None, float(newer.mean()), shift, state))
    return Panel(
        id="shift",
        title="Scores then and now",
        table=Table(
            columns=(
                Column(name="Policy"),
                Column(name="Scores", kind="count"),
                Column(name="Mean of the older half", kind="probability"),
                Column(name="Mean of the newer half", kind="probability"),
                Column(name="Stability index", kind="number"),
                Column(name="State"),
            ),
            rows=tuple(rows),
        ),
        open=True,
        wide=True,
        empty="No first answer was scored in this period.",
        note=f"Of first tiers. Above {_SHIFTED}, scores are distributed otherwise than before: the traffic, or a "
        "model, has changed.",
    )


def _certificates(facts: Facts) -> Panel:
    rows: list[tuple[Value, ...]] = []
    for policy in facts.policies:
        told = None if policy.strategy is None else policy.strategy.certificate
        if told is None:
            said = "observes" if policy.strategy is None else "not certified"
            rows.append((policy.name, said, None, None, None, None, "–"))
            continue
        promise = told.promise
        what = promise.kind.replace("_", " ")
        rows.append(
            (
                policy.name,
                f"{what} at most {promise.alpha:g}",
                promise.delta,
                told.n,
                told.observed,
                told.bound,
                told.date[:10],
            )
        )
    words = [
        policy.strategy.certificate.controlled
        for policy in facts.policies
        if policy.strategy is not None and policy.strategy.certificate is not None
    ]
    return Panel(
        id="certificates",
        title="Certificates",
        table=Table(
            columns=(
                Column(name="Policy"),
                Column(name="Promise"),
                Column(name="May be wrong with", kind="probability"),
                Column(name="Queries", kind="count"),
                Column(name="Observed", kind="number", spare=True),
                Column(name="Bound", kind="number", spare=True),
                Column(name="Date"),
            ),
            rows=tuple(rows),
        ),
        open=True,
        empty="There is no policy.",
        note=" ".join(words[:2]) if words else "spillway certify earns one.",
    )


def _voided(voids: Voids) -> Panel:
    """When certificates did not hold, and why."""
    reasons = sorted({reason for told in voids.values() for reason in told})
    days = sorted(voids)
    rows: list[tuple[Value, ...]] = [
        (f"{day:%Y-%m-%d}", sum(voids[day].values()), ", ".join(f"{why} {n}" for why, n in sorted(voids[day].items())))
        for day in days
    ]
    chart = Chart(
        kind="stacked",
        labels=tuple(f"{day:%d %b}" for day in days),
        unit="count",
        series=tuple(
            Series(
                name=reason, color=_COLORS[n % len(_COLORS)], values=tuple(voids[day].get(reason, 0) for day in days)
            )
            for n, reason in enumerate(reasons)
        ),
    )
    return Panel(
        id="voided",
        title="Requests for which a certificate did not hold",
        chart=chart if days else None,
        table=Table(
            columns=(Column(name="Day"), Column(name="Requests", kind="count"), Column(name="Why")), rows=tuple(rows)
        ),
        empty="None in this period.",
        note="The strategy was not carried out as it was certified: tiers left out, wishes of clients, verifiers, "
        "pressure of budgets, streams that went out early. Its promise says nothing of these requests.",
    )


def _history(newest: Sequence[Seen]) -> Panel:
    """Which strategies were at work, newest first."""
    groups: dict[tuple[str, str], list[Seen]] = {}
    for request in newest:
        if request.policy is not None and request.strategy_id is not None:
            groups.setdefault((request.policy, request.strategy_id), []).append(request)
    rows = [
        (policy, name, len(listed), numbers.moment(listed[-1].created), numbers.moment(listed[0].created))
        for (policy, name), listed in groups.items()
    ]
    return Panel(
        id="strategies",
        title="Strategies at work",
        table=Table(
            columns=(
                Column(name="Policy"),
                Column(name="Strategy"),
                Column(name="Requests", kind="count"),
                Column(name="First seen", spare=True),
                Column(name="Last seen"),
            ),
            rows=tuple(rows),
        ),
        open=True,
        empty="No strategy was at work in this period.",
        note="A strategy's id changes with its thresholds and with its certificate. Decisions tell which one decided.",
        wide=False,
    )


def _todos(facts: Facts, drift: Panel) -> list[ToDo]:
    return [
        ToDo(
            subject=str(row[0]),
            words="more of its traffic is unlike the training data than expected: train the scorer on newer logs",
        )
        for row in drift.table.rows
        if row[6] == "more than expected"
    ]
