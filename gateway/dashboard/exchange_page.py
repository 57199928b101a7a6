"""What another exchange rate of a plan would come to, as far as it was tried when the plan was chosen.

What was logged cannot tell it, for another rate asks other models; so these are figures out of fold, of the log that
the plan was chosen on. Knows which figures belong together. Knows no SQL, no HTML and no HTTP.
"""

from collections.abc import Sequence

from gateway.dashboard.facts import PolicyFacts
from gateway.dashboard.panel import Card, Chart, Column, Content, Panel, Series, Table, WhatIf
from router.plan import Plan
from router.strategy import AtExchange

_NANO_PER_1K = 1e9


def planned(
    policy: PolicyFacts, plan: Plan, panels: tuple[Panel, ...], chosen: float | None
) -> tuple[Content, WhatIf | None]:
    """The page of a policy that follows a plan. panels : to be shown besides.   chosen : which rate is asked about."""
    evidence = None if policy.strategy is None else policy.strategy.evidence
    tried = () if evidence is None else evidence.frontier
    rate = f"It follows a plan: a US dollar must bring {plan.exchange:.4g} of quality."
    if not tried:
        why = f"{rate} What another rate would come to was not kept when it was chosen; spillway optimize keeps it."
        return Content(panels=panels, remarks=(why,)), None
    today = min(range(len(tried)), key=lambda n: abs(tried[n].exchange - plan.exchange))
    asked = today if chosen is None else max(0, min(len(tried) - 1, round(chosen)))
    content = Content(
        cards=_cards(policy, tried[today], tried[asked]),
        panels=(_frontier(policy, tried, today, asked), *panels),
        remarks=(
            f"{rate} What other rates come to is told of the log that the plan was chosen on, each query judged by "
            "scorers and plans that had not seen it; today's requests may differ.",
        ),
    )
    return content, WhatIf(
        name="exchange",
        label="What a dollar must bring",
        question="What if a dollar had to bring more, or less?",
        words=tuple(f"{point.exchange:.4g} of quality" for point in tried),
        today=today,
        chosen=asked,
        points=tuple(map(_point, tried)),
        quality="quality on the log it was chosen on",
        first=0.0,
        step=1.0,
    )


def _cards(policy: PolicyFacts, today: AtExchange, asked: AtExchange) -> tuple[Card, ...]:
    cards = [Card(label="Policy", value=policy.name, kind="text", more=f"a dollar must bring {today.exchange:.4g}")]
    for name, point in (("When chosen", today), ("At the slider", asked)):
        low, high = point.quality_ci95
        more = f"${point.cost_usd_per_1k:,.4f} a thousand requests; 95 %: {low:.1%} to {high:.1%}"
        cards.append(Card(label=name, value=point.quality, kind="share", more=more))
    return tuple(cards)


def _frontier(policy: PolicyFacts, tried: Sequence[AtExchange], today: int, asked: int) -> Panel:
    points = [*tried, tried[today], tried[asked]]
    n = len(tried)
    nothing: tuple[float | None, ...] = (None,) * n
    return Panel(
        id="frontier",
        title=f"Cost and quality of {policy.name}, by what a dollar must bring",
        chart=Chart(
            kind="plane",
            labels=(),
            unit="share",
            x=tuple(_nano(point.cost_usd_per_1k) for point in points),
            x_unit="money",
            x_title="a thousand requests",
            series=(
                Series(
                    name="By exchange rate",
                    color="first",
                    values=(*(point.quality for point in tried), None, None),
                    low=(*(point.quality_ci95[0] for point in tried), None, None),
                    high=(*(point.quality_ci95[1] for point in tried), None, None),
                ),
                Series(name="Today", color="now", values=(*nothing, tried[today].quality, None)),
                Series(name="At the slider", color="limit", values=(*nothing, None, tried[asked].quality)),
            ),
        ),
        table=Table(
            columns=(
                Column(name="A dollar must bring", kind="probability"),
                Column(name="A thousand requests", kind="money"),
                Column(name="At least", kind="money", spare=True),
                Column(name="At most", kind="money", spare=True),
                Column(name="Quality", kind="share"),
                Column(name="At least", kind="share", spare=True),
                Column(name="At most", kind="share", spare=True),
            ),
            rows=tuple(
                (
                    point.exchange,
                    round(_nano(point.cost_usd_per_1k)),
                    *(round(_nano(bound)) for bound in point.cost_ci95),
                    point.quality,
                    *point.quality_ci95,
                )
                for point in tried
            ),
        ),
        note="Dotted lines hold 95 % of what other queries of this kind would come to, out of fold.",
    )


def _point(point: AtExchange) -> dict[str, float | None]:
    return {
        "accepted": None,
        "cost": point.cost_usd_per_1k, "cost_low": point.cost_ci95[0], "cost_high": point.cost_ci95[1],
        "quality": point.quality, "quality_low": point.quality_ci95[0], "quality_high": point.quality_ci95[1],
    }  # fmt: skip


def _nano(usd_per_1k: float) -> float:
    return usd_per_1k * _NANO_PER_1K
