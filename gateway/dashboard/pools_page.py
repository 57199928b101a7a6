"""Self-hosted capacity: what runs where, how well it is used, and what a million tokens really cost.

Knows no SQL, no HTML and no HTTP.
"""

from collections.abc import Mapping, Sequence

from gateway.dashboard.facts import Facts
from gateway.dashboard.panel import Card, Chart, Column, Content, Panel, Series, Table, Value
from gateway.ledger.reports import SpendRow


def pools(facts: Facts, rows: Sequence[SpendRow], idle: Mapping[str, int]) -> Content:
    """The page. rows : what was charged, by provider.   idle : nano-USD beyond that, by provider."""
    charged = {row.heading: row for row in rows if row.heading is not None}
    own = sorted(set(facts.hourly_nanousd) | set(idle))
    paid = sum(row.known_nanousd for name, row in charged.items() if name in own)
    unused = sum(idle.values())
    costs = tuple(_cost(name, charged.get(name, SpendRow(heading=name)), facts, idle.get(name)) for name in own)
    return Content(cards=_cards(paid, unused) if own else (), panels=(_capacity(costs), _deployments(facts)))


def _cost(provider: str, row: SpendRow, facts: Facts, beyond: int | None) -> tuple[Value, ...]:
    whole = row.known_nanousd + (beyond or 0)
    tokens = row.prompt_tokens + row.completion_tokens
    return (
        provider,
        facts.hourly_nanousd.get(provider),
        row.known_nanousd,
        beyond,
        whole,
        row.known_nanousd / whole if beyond is not None and whole else None,
        tokens,
        round(whole * 1_000_000 / tokens) if tokens and beyond is not None else None,
    )


def _cards(paid: int, unused: int) -> tuple[Card, ...]:
    whole = paid + unused
    return (
        Card(label="Charged to calls", value=paid, kind="money", more="of self-hosted capacity"),
        Card(
            label="Idle",
            value=unused,
            kind="money",
            more="booked beyond that, hour by hour",
            tone="worse" if unused > paid > 0 else "",
        ),
        Card(label="Used", value=paid / whole if whole else None, kind="share", more="of what the capacity cost"),
    )


def _capacity(costs: tuple[tuple[Value, ...], ...]) -> Panel:
    return Panel(
        id="capacity",
        title="What self-hosted capacity cost",
        chart=Chart(
            kind="lying",
            labels=tuple(str(row[0]) for row in costs),
            unit="money",
            series=(
                Series(name="Charged to calls", color="spent", values=tuple(int(row[2] or 0) for row in costs)),
                Series(name="Idle", color="rejected", values=tuple(max(0, int(row[3] or 0)) for row in costs)),
            ),
        ),
        table=Table(
            columns=(
                Column(name="Provider"),
                Column(name="An hour", kind="money"),
                Column(name="Charged", kind="money"),
                Column(name="Idle", kind="money"),
                Column(name="Together", kind="money", spare=True),
                Column(name="Used", kind="share"),
                Column(name="Tokens", kind="tokens", spare=True),
                Column(name="A million tokens", kind="money"),
            ),
            rows=costs,
        ),
        open=True,
        empty="No model says gpu_usd_per_hour: nothing here is self-hosted, or nobody said what it costs.",
        note="Used: the part of the bill that calls were charged. A million tokens: with their share of the idle "
        "hours.",
    )


def _deployments(facts: Facts) -> Panel:
    return Panel(
        id="deployments",
        title="Now, in this process",
        table=Table(
            columns=(
                Column(name="Model"),
                Column(name="Deployment"),
                Column(name="Under way", kind="count"),
                Column(name="At most", kind="count"),
                Column(name="Load", kind="share"),
                Column(name="Waiting for the model", kind="count", spare=True),
                Column(name="Breaker"),
            ),
            rows=tuple(
                (
                    one.model,
                    one.name,
                    one.running,
                    one.most_at_once,
                    one.running / one.most_at_once if one.most_at_once else None,
                    one.waiting,
                    one.state,
                )
                for one in facts.deployments
            ),
        ),
        open=True,
        empty="No model is served.",
        note="Other replicas have calls of their own: see the metrics.",
    )
