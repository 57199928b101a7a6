"""The first page: what was spent and saved, whether the cheap tiers' answers hold, and what waits for a person.

Knows which figures belong together and in which words they are honest. Knows no SQL, no HTML and no HTTP.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

from gateway.dashboard import numbers
from gateway.dashboard.costs_page import CostsPage, Slot, Tier
from gateway.dashboard.facts import Facts
from gateway.dashboard.panel import Card, Chart, Column, Content, Panel, Series, Table, ToDo, Tone, Value, listed
from gateway.ledger.newest import Seen
from gateway.ledger.overview import AttemptGroup, Costs, Period
from gateway.ledger.reconcile.store import Unreconciled
from gateway.ledger.savings import Savings

_KINDS = {
    "proposal": "proposals, for mixtures to make answers of",
    "shadow": "shadow answers, to compare with",
    "judge": "judges",
    "verifier": "verifiers",
    "embedding": "embeddings",
    "probe": "probes of self-hosted servers",
}
_ABSTAINED = "the scorer could not judge: "


def overview(page: CostsPage, costs: Costs, newest: Sequence[Seen], period: Period, todos: Iterable[ToDo]) -> Content:
    """The page of a period. newest : of its requests, for the reasons."""
    savings, calls = costs.savings, costs.calls
    return Content(
        cards=_cards(page, savings),
        todos=(*_unknown(page), *todos),
        panels=(
            _by_time(page, period),
            _net(page, savings),
            _purposes(calls),
            _tiers(page.tiers),
            _reasons(newest),
            _models(page),
        ),
        remarks=tuple(_remarks(savings)),
    )


def configured_todos(facts: Facts) -> tuple[ToDo, ...]:
    """What the configuration leaves open: prices that are not there, and prices that nobody can tell the age of."""
    todos = []
    if facts.unpriced:
        words = "no price is known: give one in spillway.yaml, or what they cost is unknown"
        todos.append(ToDo(subject=listed(facts.unpriced), words=words))
    if facts.undated:
        words = "a price without a date: nobody can tell whether it still holds; a price list can say effective_from"
        todos.append(ToDo(subject=listed(facts.undated), words=words))
    return tuple(todos)


def unreconciled_todos(found: Sequence[Unreconciled]) -> tuple[ToDo, ...]:
    """Days on which a provider's bill and the ledger differ, as one thing to do for each provider."""
    days: dict[str, set[str]] = {}
    for one in found:
        days.setdefault(one.provider, set()).add(one.variance.day.isoformat())
    return tuple(
        ToDo(
            subject=provider,
            words=f"its bill and the ledger differ on {_count(len(dates), 'day')} "
            f"({listed(sorted(dates, reverse=True))}); spillway reconcile names the causes",
        )
        for provider, dates in sorted(days.items())
    )


def _cards(page: CostsPage, savings: Savings) -> tuple[Card, ...]:
    total, compared = page.total, savings.compared
    interval, share = savings.interval_nanousd, compared.share_interval()
    saved = savings.saved_nanousd if compared.requests else None
    between = "" if interval is None else f"95 %: {numbers.money(interval[0])} to {numbers.money(interval[1])}"
    reference = compared.reference_nanousd
    part = f"{numbers.share(savings.saved_nanousd / reference)} of the reference's cost" if reference else ""
    sure = "" if share is None else f" ({numbers.share(share[0])} to {numbers.share(share[1])})"
    tone: Tone = "" if not saved else "better" if saved > 0 else "worse"
    each = "" if not total.requests else f"{numbers.money(total.spent_nanousd // total.requests)} a request"
    unknown = ", without the calls of unknown cost" if page.unpriced or page.unmeasured else ""
    others = [f"{numbers.count(n)} {name}" for name, n in page.statuses.items() if name not in ("answered", "cached")]
    return (
        Card(label="Spent", value=total.spent_nanousd, kind="money", more=f"{each}{unknown}"),
        Card(
            label="Without the cascade",
            value=compared.reference_nanousd if compared.requests else None,
            kind="money" if compared.requests else "text",
            more=f"had {listed(page.reference_models)} answered the {_count(compared.requests, 'request')} that compare"
            if compared.requests
            else "no policy named a reference model",
        ),
        Card(
            label="Saved, net" if saved is None or saved >= 0 else "Lost, net",
            value=saved,
            kind="money" if saved is not None else "text",
            more="; ".join(filter(None, (between, f"{part}{sure}")))
            if saved is not None
            else "nothing to compare with",
            tone=tone,
        ),
        Card(label="Requests", value=total.requests, kind="count", more=", ".join(others) or "all answered"),
        Card(
            label="Cache hits",
            value=page.hit_share,
            kind="share",
            more=f"{numbers.count(page.hits)} of {numbers.count(page.looked_up)} looked up"
            if page.looked_up
            else "no request could be cached",
        ),
    )


def _by_time(page: CostsPage, period: Period) -> Panel:
    unit = "hour" if period.slot < timedelta(days=1) else "day"
    slots: tuple[Slot, ...] = page.slots
    rows = [
        (
            slot.label,
            slot.tally.requests,
            slot.tally.spent_nanousd,
            slot.tally.reference_nanousd if slot.tally.compared else None,
            slot.tally.saved_nanousd if slot.tally.compared else None,
        )
        for slot in reversed(slots)
        if slot.tally.requests
    ]
    return Panel(
        id="spend",
        title=f"Spend by {unit}",
        chart=Chart(
            kind="lines" if len(slots) > 1 else "bars",
            labels=tuple(slot.label for slot in slots),
            unit="money",
            series=(
                Series(name="Spent", color="spent", values=tuple(slot.tally.spent_nanousd for slot in slots)),
                Series(
                    name="Had the reference model answered",
                    color="reference",
                    values=tuple(slot.tally.reference_nanousd if slot.tally.compared else None for slot in slots),
                ),
            ),
        ),
        table=Table(
            columns=(
                Column(name=unit.capitalize()),
                Column(name="Requests", kind="count"),
                Column(name="Spent", kind="money"),
                Column(name="Reference", kind="money", spare=True),
                Column(name="Saved", kind="money"),
            ),
            rows=tuple(rows),
        ),
    )


def _net(page: CostsPage, savings: Savings) -> Panel:
    """From what the reference would have cost down to what was saved, each step an amount that adds up."""
    compared, cached = savings.compared, page.cached
    asked_reference = compared.reference_nanousd - cached.reference_nanousd
    asked_spent = compared.spent_nanousd - cached.compared_nanousd
    rows: list[tuple[Value, ...]] = [
        ("Reference cost of requests that models answered", compared.requests - cached.compared, asked_reference),
        (
            "less everything spent on them: rejected, shadow, judge and retried calls too",
            compared.requests - cached.compared,
            -asked_spent,
        ),
        ("Reference cost of requests that the cache answered", cached.compared, cached.reference_nanousd),
        ("less what was spent on those", cached.compared, -cached.compared_nanousd),
        ("less what was spent on requests that got no answer", savings.fruitless, -savings.fruitless_nanousd),
        ("Saved, net", compared.requests + savings.fruitless, savings.saved_nanousd),
    ]
    return Panel(
        id="net",
        title="From the reference's cost to what was saved",
        table=Table(
            columns=(Column(name="Step"), Column(name="Requests", kind="count"), Column(name="Amount", kind="money")),
            rows=tuple(rows) if compared.requests or savings.fruitless else (),
        ),
        open=True,
        wide=False,
        empty="Nothing can be compared: no policy has a reference model with a price.",
    )


def _purposes(calls: Sequence[AttemptGroup]) -> Panel:
    found: dict[str, list[int]] = {}
    for call in calls:
        if call.kind == "answer":
            name = {
                None: "answers under way",
                "accepted": "answers that were given",
                "rejected": "answers that were rejected",
            }.get(call.state, f"calls that {'were cut off' if call.state == 'cancelled' else 'failed'}")
        else:
            name = _KINDS.get(call.kind, call.kind)
        sums = found.setdefault(name, [0, 0])
        sums[0] += call.calls
        sums[1] += call.spent_nanousd
    spent = sum(amount for _, amount in found.values())
    rows = sorted(found.items(), key=lambda item: -item[1][1])
    return Panel(
        id="purposes",
        title="What the money was spent for",
        chart=Chart(
            kind="lying",
            labels=tuple(name for name, _ in rows),
            unit="money",
            series=(Series(name="Spent", color="spent", values=tuple(amount for _, (_, amount) in rows)),),
        ),
        table=Table(
            columns=(
                Column(name="For"),
                Column(name="Calls", kind="count"),
                Column(name="Spent", kind="money"),
                Column(name="Share", kind="share"),
            ),
            rows=tuple((name, n, amount, amount / spent if spent else None) for name, (n, amount) in rows),
        ),
        wide=False,
    )


def _tiers(tiers: Sequence[Tier]) -> Panel:
    names = tuple(f"{tier.number} · {tier.model} ({tier.policy})" for tier in tiers)

    def parts(color: str, name: str, counts: Iterable[int]) -> Series:
        shares = tuple(n / tier.calls if tier.calls else None for n, tier in zip(counts, tiers, strict=True))
        return Series(name=name, color=color, values=shares)

    return Panel(
        id="tiers",
        title="Acceptance per tier",
        chart=Chart(
            kind="lying",
            labels=names,
            unit="share",
            series=(parts("accepted", "Accepted", (tier.accepted for tier in tiers)),),
        ),
        table=Table(
            columns=(
                Column(name="Policy"),
                Column(name="Tier", kind="count"),
                Column(name="Model"),
                Column(name="Calls", kind="count"),
                Column(name="Accepted", kind="share"),
                Column(name="Spilled over", kind="count"),
                Column(name="Failed", kind="count", spare=True),
                Column(name="Cut off", kind="count", spare=True),
                Column(name="Spent", kind="money"),
            ),
            rows=tuple(
                (t.policy, t.number, t.model, t.calls, t.acceptance, t.rejected, t.failed, t.cancelled, t.spent_nanousd)
                for t in tiers
            ),
        ),
        empty="No request went through a policy in this period.",
        note="Accepted: of the calls that came to an end by themselves.",
        wide=False,
    )


def _reasons(newest: Sequence[Seen]) -> Panel:
    """Why requests went beyond their first answer."""
    reasons: Counter[str] = Counter()
    for request in newest:
        if request.policy is None or request.status in (None, "cached"):
            continue
        reasons[_reason(request)] += 1
    total = sum(reasons.values())
    rows = tuple((reason, n, n / total) for reason, n in reasons.most_common())
    return Panel(
        id="reasons",
        title="Why requests escalate",
        table=Table(
            columns=(
                Column(name="What happened"),
                Column(name="Requests", kind="count"),
                Column(name="Share", kind="share"),
            ),
            rows=rows,
        ),
        note=f"Of the newest {numbers.count(len(newest))} requests of this period." if newest else "",
        empty="No request went through a policy in this period.",
        open=True,
        wide=False,
    )


def _reason(request: Seen) -> str:
    if request.abstention is not None:
        return _ABSTAINED + request.abstention.replace("_", " ")
    answers = request.answers
    if len(answers) <= 1 and request.status == "answered":
        return "none: the first answer was given"
    first = next((call for call in answers if call.state in ("failed", "cancelled")), None)
    rejected = next((call for call in answers if call.state == "rejected"), None)
    if rejected is not None and rejected.score is not None and rejected.threshold is not None:
        return (
            "the score lay below its threshold"
            if rejected.score < rejected.threshold
            else "a verifier or a plan asked for more"
        )
    if first is not None:
        return f"a call {'was cut off' if first.state == 'cancelled' else 'failed'}: {first.error_kind or 'unknown'}"
    return "a verifier or a plan asked for more"


def _models(page: CostsPage) -> Panel:
    models = page.models
    top = models[:12]
    return Panel(
        id="models",
        title="Spend per model",
        chart=Chart(
            kind="lying",
            labels=tuple(model.model for model in top),
            unit="money",
            series=(Series(name="Spent", color="spent", values=tuple(model.spent_nanousd for model in top)),),
        ),
        table=Table(
            columns=(
                Column(name="Model"),
                Column(name="Spent", kind="money"),
                Column(name="Unknown cost", kind="count", spare=True),
                Column(name="Share", kind="share"),
                Column(name="Calls", kind="count"),
                Column(name="Tokens in", kind="tokens", spare=True),
                Column(name="Tokens out", kind="tokens", spare=True),
                Column(name="Mean time", kind="seconds", spare=True),
            ),
            rows=tuple(
                (
                    m.model,
                    None if m.unknown and not m.spent_nanousd else m.spent_nanousd,
                    m.unknown,
                    m.share,
                    m.calls,
                    m.prompt_tokens,
                    m.completion_tokens,
                    m.latency_s,
                )
                for m in models
            ),
        ),
        empty="No model was called in this period.",
        note="All calls, rejected and failed ones included.",
        wide=False,
    )


def _unknown(page: CostsPage) -> Iterable[ToDo]:
    for model in page.unpriced:
        yield ToDo(
            subject=model.model,
            words=f"{_count(model.unpriced, 'call')} of unknown cost, in no amount: give it a price in spillway.yaml",
        )
    for model in page.unmeasured:
        yield ToDo(
            subject=model.model,
            words=f"{_count(model.unmeasured, 'call')} without a usage: with max_output_tokens there would be a bound",
        )


def _remarks(savings: Savings) -> Iterable[str]:
    """Where the saving comes from, and what it leaves out."""
    modelled, observed = savings.by_source.get("modelled"), savings.by_source.get("observed")
    shadow = savings.by_source.get("shadow")
    if modelled:
        yield (
            f"On {_count(modelled.requests, 'request')} the reference was not asked: its cost is its price on the "
            "tokens of the answer that was given, an estimate; its own answer may have been longer or shorter. The "
            "interval is over other requests of this kind and does not hold that."
        )
    if observed:
        yield (
            f"On {_count(observed.requests, 'request')} it answered itself: its cost is what it did cost, and cheaper "
            "attempts before it count against the saving."
        )
    if shadow:
        yield f"On {_count(shadow.requests, 'request')} it was asked in shadow, which counts against the saving."
    if (off := savings.modelled_over_observed) is not None:
        yield f"Estimated as above, what was asked in shadow would have come to {off} of what it did cost."
    left = savings.unlike + savings.unknown
    if left:
        amount = numbers.money(savings.unlike_nanousd + savings.unknown_nanousd)
        yield (
            f"{_count(left, 'request')} left out on both sides ({amount} spent): under way, of unknown cost, or asked "
            "of a plain model."
        )


def _count(n: int, what: str) -> str:
    return f"{numbers.count(n)} {what}{'' if n == 1 else 's'}"
