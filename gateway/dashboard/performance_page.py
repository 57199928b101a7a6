"""How long answers take: percentiles of latency and of the time to the first token, by tier and by depth; the cache.

Percentiles are of the newest requests of a period, one by one; what the cache saved is a sum of the whole period.
Knows no SQL, no HTML and no HTTP.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gateway.dashboard import numbers
from gateway.dashboard.costs_page import CostsPage
from gateway.dashboard.panel import Card, Chart, Column, Content, Panel, Series, Table, Value
from gateway.ledger.newest import Seen, SeenCall

PERCENTILES = (50, 90, 95, 99)
_FEW = 20  # a 95th percentile of fewer is one or two calls


def performance(page: CostsPage, newest: Sequence[Seen]) -> Content:
    """The page of a period. newest : of its requests."""
    whole = [_whole_s(request) for request in newest if request.status == "answered"]
    first = [call.first_token_s for request in newest for call in request.answers if call.first_token_s is not None]
    note = f"Of the newest {numbers.count(len(newest))} requests of this period."
    return Content(
        cards=(
            Card(
                label="Answer, median",
                value=_percentile(whole, 50),
                kind="seconds",
                more="all calls of a request, one after the other",
            ),
            Card(label="Answer, 95 of 100 within", value=_percentile(whole, 95), kind="seconds", more=_of(whole)),
            Card(
                label="First token of a call, median",
                value=_percentile(first, 50),
                kind="seconds",
                more=_of(first, "call"),
            ),
            Card(
                label="Cache hits",
                value=page.hit_share,
                kind="share",
                more=f"{numbers.count(page.hits)} of {numbers.count(page.looked_up)} looked up",
            ),
            Card(
                label="Bought before, answered again",
                value=page.cached.bought_nanousd if page.hits else None,
                kind="money" if page.hits else "text",
                more="what the cached answers had cost when they were bought",
            ),
        ),
        panels=(
            _percentiles("latency", "Time of a call, by tier", _by_tier(newest, "latency_s"), note),
            _percentiles("first-token", "Time to the first token, by tier", _by_tier(newest, "first_token_s"), note),
            _percentiles("depth", "Time of a request, by how many answers were asked for", _by_depth(newest), note),
            _errors(newest, note),
            _cache(page),
        ),
    )


def _whole_s(request: Seen) -> float:
    """How long its calls took, one after the other."""
    return sum(call.latency_s or 0.0 for call in request.answers)


def _percentile(values: Sequence[float], percent: int) -> float | None:
    return float(np.percentile(values, percent)) if values else None


def _of(values: Sequence[float], what: str = "request") -> str:
    return f"of {numbers.count(len(values))} {what}{'' if len(values) == 1 else 's'}"


def _by_tier(newest: Iterable[Seen], measure: str) -> dict[str, list[float]]:
    found: dict[tuple[str, int, str], list[float]] = {}
    for request in newest:
        for call in request.answers:
            value: float | None = getattr(call, measure)
            if value is not None and call.state in ("accepted", "rejected"):
                found.setdefault((request.policy or "", call.stage, call.model), []).append(value)
    return {
        f"{stage + 1} · {model} ({policy})" if policy else f"{model} (by its name)": values
        for (policy, stage, model), values in sorted(found.items())
    }


def _by_depth(newest: Iterable[Seen]) -> dict[str, list[float]]:
    found: dict[int, list[float]] = {}
    for request in newest:
        if request.status == "answered" and request.answers:
            found.setdefault(len(request.answers), []).append(_whole_s(request))
    return {f"{depth} answer{'' if depth == 1 else 's'}": values for depth, values in sorted(found.items())}


def _percentiles(name: str, title: str, found: Mapping[str, Sequence[float]], note: str) -> Panel:
    rows = [(label, len(values), *(_percentile(values, p) for p in PERCENTILES)) for label, values in found.items()]
    few = any(len(values) < _FEW for values in found.values())
    return Panel(
        id=name,
        title=title,
        chart=Chart(
            kind="lying",
            labels=tuple(str(row[0]) for row in rows),
            unit="seconds",
            series=(
                Series(name="half are faster", color="first", values=tuple(_number(row[2]) for row in rows)),
                Series(name="95 of 100 are faster", color="second", values=tuple(_number(row[4]) for row in rows)),
            ),
        ),
        table=Table(
            columns=(
                Column(name="Of"),
                Column(name="Count", kind="count"),
                *(Column(name=f"p{p}", kind="seconds", spare=p == 90) for p in PERCENTILES),
            ),
            rows=tuple(tuple(row) for row in rows),
        ),
        note=f"{note} High percentiles of fewer than {_FEW} are one or two of them." if few else note,
        wide=False,
    )


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _errors(newest: Sequence[Seen], note: str) -> Panel:
    calls: dict[str, list[SeenCall]] = {}
    for request in newest:
        for call in request.answers:
            calls.setdefault(call.model, []).append(call)
    rows: list[tuple[Value, ...]] = []
    for model, listed in sorted(calls.items()):
        failed = [call for call in listed if call.state == "failed"]
        kinds = sorted({call.error_kind or "unknown" for call in failed})
        again = sum(call.cause != "first" for call in listed)
        rows.append((model, len(listed), len(failed), len(failed) / len(listed), again, ", ".join(kinds) or "–"))
    return Panel(
        id="failures",
        title="Failures and retries",
        table=Table(
            columns=(
                Column(name="Model"),
                Column(name="Calls", kind="count"),
                Column(name="Failed", kind="count"),
                Column(name="Share", kind="share"),
                Column(name="Asked again", kind="count", spare=True),
                Column(name="Failed for", spare=True),
            ),
            rows=tuple(rows),
        ),
        note=note,
        open=True,
        wide=True,
    )


def _cache(page: CostsPage) -> Panel:
    rows = [
        (slot.label, slot.hits, slot.looked_up, slot.hits / slot.looked_up, slot.tally.bought_nanousd)
        for slot in page.slots
        if slot.looked_up
    ]
    return Panel(
        id="cache",
        title="Cache hits",
        chart=Chart(
            kind="lines" if len(page.slots) > 1 else "bars",
            labels=tuple(slot.label for slot in page.slots),
            unit="share",
            series=(
                Series(
                    name="Hits among look-ups",
                    color="spent",
                    values=tuple(slot.hits / slot.looked_up if slot.looked_up else None for slot in page.slots),
                ),
            ),
        ),
        table=Table(
            columns=(
                Column(name="When"),
                Column(name="Hits", kind="count"),
                Column(name="Looked up", kind="count"),
                Column(name="Share", kind="share"),
                Column(name="Bought before", kind="money"),
            ),
            rows=tuple(reversed(rows)),
        ),
        empty="No request could be cached in this period.",
        note="Of exact repetitions. How often a cached answer was wrong is not audited: an exact repetition gets the "
        "same answer.",
    )
