"""A policy's strategy: where it stands between cost and quality today, and where another threshold would put it.

Knows which figures belong together and in which words they are honest. Knows no SQL, no HTML and no HTTP.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from gateway.dashboard import numbers
from gateway.dashboard.exchange_page import planned
from gateway.dashboard.facts import PolicyFacts
from gateway.dashboard.panel import Card, Chart, Column, Content, Panel, Series, Table, Value, WhatIf
from gateway.dashboard.whatif import FEWEST, Outlook, Trials, trials
from gateway.ledger.newest import Seen
from router.strategy import Strategy

GRID = tuple(n / 100 for n in range(101))
_SHOWN = GRID[::5]


def strategy(policy: PolicyFacts | None, newest: Sequence[Seen], chosen: float | None) -> tuple[Content, WhatIf | None]:
    """The page of a policy. newest : its newest requests.   chosen : the threshold that is asked about, or the place of
    an exchange rate."""
    if policy is None:
        said = (
            "There is no policy with a strategy. In observe mode the safe model answers; spillway optimize finds "
            "a strategy."
        )
        return Content(remarks=(said,)), None
    if policy.strategy is None:
        said = f"The policy {policy.name} observes: {policy.safe_model} answers. spillway optimize finds it a strategy."
        return Content(remarks=(said,)), None
    told = policy.strategy
    panels = [_beside(policy, newest), _stages(policy)]
    if told.plan is not None:
        return planned(policy, told.plan, (*panels, *_evidence(policy, None)), chosen)
    threshold = told.stages[0].threshold if len(told.stages) > 1 else None
    if threshold is None:
        why = "It has one stage, and so no threshold."
        return Content(panels=(*panels, *_evidence(policy, None)), remarks=(why,)), None
    evidence = told.evidence
    found = trials(newest, told.stages[0].model, None if evidence is None else evidence.reference_quality)
    if found is None:
        why = (
            f"What another threshold would come to can be told once {FEWEST} requests have had their first answer "
            "scored, some of them beyond it."
        )
        return Content(panels=(*panels, *_evidence(policy, None)), remarks=(why,)), None
    today, asked = found.at(threshold), found.at(threshold if chosen is None else chosen)
    curve = [found.at(t) for t in GRID]
    content = Content(
        cards=_cards(found, today, policy),
        panels=(
            _frontier(curve, today, asked, policy),
            _thresholds(found, threshold),
            *panels,
            *_evidence(policy, today),
        ),
        remarks=_remarks(found, policy),
    )
    return content, WhatIf(
        name="threshold",
        label="First threshold",
        question="What if the first threshold were another?",
        words=tuple(f"{t:.2f}" for t in GRID),
        today=round(100 * threshold),
        chosen=round(100 * asked.threshold),
        points=tuple(map(_point, curve)),
        quality="believed quality",
    )


def positions(told: Strategy) -> tuple[str, float, float, int]:
    """The slider of a strategy: its field's name, the value at its first position, the step, and how many there are."""
    if told.plan is not None:
        return "exchange", 0.0, 1.0, 0 if told.evidence is None else len(told.evidence.frontier)
    return "threshold", GRID[0], GRID[1] - GRID[0], len(GRID) if len(told.stages) > 1 else 0


def at_slider(told: Strategy, position: int) -> Strategy:
    """The strategy as the slider has it, chosen by a person: it has neither evidence nor certificate."""
    if told.plan is not None and told.scorer_version is not None:
        frontier = () if told.evidence is None else told.evidence.frontier
        return Strategy.planned(
            replace(told.plan, exchange=frontier[position].exchange),
            safe_model=told.safe_model,
            scorer_version=told.scorer_version,
            reference_model=told.reference_model,
        )
    threshold = GRID[position]
    stages = (replace(told.stages[0], threshold=threshold), *told.stages[1:])
    return Strategy.of(
        stages,
        reference_model=told.reference_model,
        safe_model=told.safe_model,
        scorer_version=told.scorer_version,
        entry=told.entry,
    )


def _cards(found: Trials, today: Outlook, policy: PolicyFacts) -> tuple[Card, ...]:
    return (
        Card(label="Policy", value=policy.name, kind="text", more=f"first threshold {today.threshold:.3f}"),
        Card(
            label="Accepted at the first tier",
            value=today.accepted,
            kind="share",
            more=f"of {numbers.count(found.n)} scored requests",
        ),
        Card(
            label="A thousand requests",
            value=_per_1k(today.cost),
            kind="money",
            more=f"95 %: {numbers.money(_per_1k(today.cost_low))} to {numbers.money(_per_1k(today.cost_high))}",
        ),
        Card(
            label="Believed quality",
            value=today.quality,
            kind="share",
            more="by the scorer, not measured"
            if today.quality is not None
            else "the strategy names no reference quality",
        ),
    )


def _frontier(curve: Sequence[Outlook], today: Outlook, asked: Outlook, policy: PolicyFacts) -> Panel:
    points = [(_per_1k(o.cost), o) for o in curve]
    marks = [today, asked]
    x = (*(float(cost) for cost, _ in points), *(float(_per_1k(o.cost)) for o in marks))
    n = len(points)

    def padded(values: Sequence[float | None], before: int, after: int) -> tuple[float | None, ...]:
        return (*([None] * before), *values, *([None] * after))

    return Panel(
        id="frontier",
        title=f"Cost and believed quality of {policy.name}, by threshold",
        chart=Chart(
            kind="plane",
            labels=(),
            unit="share",
            x=x,
            x_unit="money",
            x_title="a thousand requests",
            series=(
                Series(
                    name="By first threshold",
                    color="first",
                    values=padded([o.quality for _, o in points], 0, 2),
                    low=padded([o.quality_low for _, o in points], 0, 2),
                    high=padded([o.quality_high for _, o in points], 0, 2),
                ),
                Series(name="Today", color="now", values=padded([today.quality], n, 1)),
                Series(name="At the slider", color="limit", values=padded([asked.quality], n + 1, 0)),
            ),
        ),
        table=Table(
            columns=_columns(), rows=tuple(_row(o) for o in (*(c for c in curve if c.threshold in _SHOWN), today))
        ),
        note="Dotted lines hold 95 % of what other requests of this kind would come to. The last row is today's "
        "threshold.",
    )


def _thresholds(found: Trials, today: float) -> Panel:
    edges = [n / 10 for n in range(11)]
    counts = [
        int(((found.score >= low) & ((found.score < high) | ((high == 1.0) & (found.score == 1.0)))).sum())
        for low, high in pairwise(edges)
    ]
    labels = tuple(f"{low:.1f} – {high:.1f}" for low, high in pairwise(edges))
    return Panel(
        id="scores",
        title="Scores of first answers",
        chart=Chart(
            kind="bars",
            labels=labels,
            unit="count",
            series=(Series(name="Answers", color="spent", values=tuple(counts)),),
        ),
        table=Table(
            columns=(Column(name="Score"), Column(name="Answers", kind="count"), Column(name="Share", kind="share")),
            rows=tuple((label, n, n / found.n) for label, n in zip(labels, counts, strict=True)),
        ),
        note=f"Those of {today:.3f} and more are accepted today.",
        wide=False,
    )


def _stages(policy: PolicyFacts) -> Panel:
    told = policy.strategy
    assert told is not None  # noqa: S101 - the caller has looked
    rows: list[tuple[Value, ...]] = [
        (str(n), stage.model, stage.threshold) for n, stage in enumerate(told.stages, start=1)
    ]
    return Panel(
        id="stages",
        title=f"The strategy of {policy.name}",
        table=Table(
            columns=(Column(name="Tier"), Column(name="Model"), Column(name="Accepts from", kind="probability")),
            rows=tuple(rows),
        ),
        note=f"{told.id}, {told.kind.replace('_', ' ')}; reference {told.reference_model}, safe model "
        f"{policy.safe_model}, made {told.created[:10]}.{_entered(told)}",
        open=True,
        wide=False,
    )


def _entered(told: Strategy) -> str:
    if told.entry is None:
        return ""
    skips = "; ".join(f"{name} skips {', '.join(models)}" for name, models in sorted(told.entry.skips.items()))
    return f" Entered by category from p={told.entry.least:g} on: {skips}."


def _beside(policy: PolicyFacts, newest: Sequence[Seen]) -> Panel:
    """The strategies that answered, each with what its requests came to: a canary beside the rest."""
    groups: dict[str, list[Seen]] = {}
    for request in newest:
        if request.strategy_id is not None and request.status == "answered" and request.spent_nanousd is not None:
            groups.setdefault(request.strategy_id, []).append(request)
    now = {} if policy.strategy is None else {policy.strategy.id: "today's"}
    if policy.canary is not None:
        now[policy.canary.id] = f"the canary, on {policy.canary_share:.0%}"
    rows: list[tuple[Value, ...]] = []
    for name, listed in sorted(groups.items(), key=lambda item: -len(item[1])):
        costs = np.array([request.spent_nanousd for request in listed], dtype=np.float64)
        half = 1.96 * float(costs.std(ddof=1)) / len(costs) ** 0.5 if len(costs) > 1 else None
        first = sum(len(request.answers) == 1 for request in listed)
        given = [c.score for r in listed for c in r.steps if c.attempt_id == r.answered_attempt and c.score is not None]
        mean = float(costs.mean())
        rows.append(
            (
                name,
                now.get(name, "an earlier one"),
                len(listed),
                first / len(listed),
                _per_1k(mean),
                None if half is None else max(0, _per_1k(mean - half)),
                None if half is None else _per_1k(mean + half),
                sum(given) / len(given) if given else None,
            )
        )
    return Panel(
        id="beside",
        title="Strategies side by side",
        table=Table(
            columns=(
                Column(name="Strategy"),
                Column(name="Which"),
                Column(name="Requests", kind="count"),
                Column(name="One answer was enough", kind="share"),
                Column(name="A thousand requests", kind="money"),
                Column(name="At least", kind="money", spare=True),
                Column(name="At most", kind="money", spare=True),
                Column(name="Mean score of answers", kind="probability"),
            ),
            rows=tuple(rows),
        ),
        open=True,
        empty="No answered request of known cost in this period.",
        note="At least, at most: 95 %. Only what was scored has a score; the page Quality tells what people said.",
    )


def _evidence(policy: PolicyFacts, today: Outlook | None) -> tuple[Panel, ...]:
    evidence = None if policy.strategy is None else policy.strategy.evidence
    if evidence is None:
        return ()
    rows: list[tuple[Value, ...]] = [
        (
            "Quality",
            f"{evidence.quality:.4f}",
            "–" if today is None or today.quality is None else f"{today.quality:.4f} believed",
        ),
        ("Quality of the reference", f"{evidence.reference_quality:.4f}", "–"),
        (
            "A thousand requests",
            f"${evidence.cost_usd_per_1k:,.4f}",
            "–" if today is None else numbers.money(_per_1k(today.cost)),
        ),
        ("A thousand of the reference", f"${evidence.reference_cost_usd_per_1k:,.4f}", "–"),
        (
            "Saving on held-out folds",
            "–" if evidence.held_out_saving is None else numbers.share(evidence.held_out_saving),
            "–",
        ),
        (
            "Quality lost on held-out folds",
            "–"
            if evidence.held_out_quality_delta is None
            else f"{evidence.held_out_quality_delta:+.4f}".replace("-", numbers.MINUS),
            "–",
        ),
    ]
    return (
        Panel(
            id="evidence",
            title="What it was chosen on, and today",
            table=Table(
                columns=(Column(name="Figure"), Column(name="When chosen"), Column(name="On the newest requests")),
                rows=tuple(rows),
            ),
            note=f"By {evidence.rule} on {numbers.count(evidence.n_queries)} logged queries. {evidence.note}".strip(),
            open=True,
            wide=False,
        ),
    )


def _remarks(found: Trials, policy: PolicyFacts) -> tuple[str, ...]:
    said = [
        f"Of the newest requests of {policy.name}, {numbers.count(found.n)} whose first answer was scored are gone "
        "through again with "
        "another first threshold; the later ones stay. What going on would have cost is an estimate for the "
        f"{numbers.count(found.guessed)} that did not: the reference's cost of the same request, times what going on "
        "has cost in parts of it.",
        "Quality is what the scorer believes, and of answers that it does not score the reference model's mean on "
        "the strategy's "
        "data, which is too good for hard requests: read it as a comparison of thresholds. The page Quality tells "
        "what people said.",
        "All this is reckoned, not tried. As a canary, another threshold answers a part of the conversations, and both "
        "stand side by side here.",
    ]
    return tuple(said)


def _columns() -> tuple[Column, ...]:
    return (
        Column(name="Threshold", kind="probability"),
        Column(name="Accepted", kind="share"),
        Column(name="A thousand requests", kind="money"),
        Column(name="At least", kind="money", spare=True),
        Column(name="At most", kind="money", spare=True),
        Column(name="Believed quality", kind="share"),
        Column(name="Quality at least", kind="share", spare=True),
        Column(name="Quality at most", kind="share", spare=True),
    )


def _row(o: Outlook) -> tuple[Value, ...]:
    return (
        o.threshold,
        o.accepted,
        _per_1k(o.cost),
        _per_1k(o.cost_low),
        _per_1k(o.cost_high),
        o.quality,
        o.quality_low,
        o.quality_high,
    )


def _point(o: Outlook) -> dict[str, float | None]:
    return {
        "accepted": round(o.accepted, 4), "cost": o.cost / 1e6, "cost_low": o.cost_low / 1e6,
        "cost_high": o.cost_high / 1e6,
        "quality": o.quality, "quality_low": o.quality_low, "quality_high": o.quality_high,
    }  # fmt: skip


def _per_1k(nanousd: float) -> int:
    return round(nanousd * 1000)
