"""Budgets: how each stands, and how one of them burns down to the end of its window.

The forecast goes on at the pace of the window so far, and says how much that pace has varied from day to day.
Knows no SQL, no HTML and no HTTP.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import numpy as np

from gateway.budgets.budget import Standing
from gateway.dashboard import numbers
from gateway.dashboard.panel import Card, Chart, Column, Content, Panel, Series, Table, ToDo

_Z = 1.96
_DAY = timedelta(days=1)
_MOST_DAYS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """Spending of one budget's scope since its window began: by days (of a daily budget: by hours), in order."""

    starts: tuple[datetime, ...]
    spent_nanousd: tuple[int, ...]


def budgets(
    standings: Sequence[Standing], chosen: Standing | None, burn: Burn | None, names: Mapping[str, str], now: datetime
) -> Content:
    """The page. chosen : the budget that burns down.   names : of what the budgets are for."""
    ranked = sorted(standings, key=lambda standing: -used(standing))
    return Content(
        cards=() if chosen is None else _cards(chosen, burn, names, now),
        todos=tuple(_todos(ranked, names)),
        panels=(
            *(() if chosen is None or burn is None else (_burn_down(chosen, burn, names, now),)),
            _all(ranked, names),
        ),
    )


def used(standing: Standing) -> float:
    """The used part of a budget, what is set aside included."""
    amount = standing.budget.amount_nanousd
    return (standing.settled_nanousd + standing.reserved_nanousd) / amount if amount else 1.0


def forecast(standing: Standing, burn: Burn, now: datetime) -> tuple[int, int, int] | None:
    """What will be spent by the window's end at the pace so far, with a 95 % band; None where that cannot be told.

    The band is of the sum of the slots to come, each varying as those that are over did. It knows of no weekend.
    """
    if standing.ends_us is None:
        return None
    begins, ends, at = standing.starts_us / 1e6, standing.ends_us / 1e6, now.timestamp()
    if at <= begins or at >= ends:
        return None
    left = (ends - at) / (at - begins)
    expected = standing.settled_nanousd * (1 + left)
    whole = np.array(burn.spent_nanousd[:-1], dtype=np.float64)  # the last slot is not over
    if len(whole) < 2:
        return round(expected), standing.settled_nanousd, 0
    slot_s = (burn.starts[1] - burn.starts[0]).total_seconds()
    to_come = (ends - at) / slot_s
    half = _Z * float(whole.std(ddof=1)) * math.sqrt(to_come * (1 + to_come / len(whole)))
    return round(expected), max(standing.settled_nanousd, round(expected - half)), round(expected + half)


def _name(standing: Standing, names: Mapping[str, str]) -> str:
    scope = standing.budget.scope
    return f"{names.get(scope.id, scope.id)} ({scope.level})"


def _cards(chosen: Standing, burn: Burn | None, names: Mapping[str, str], now: datetime) -> tuple[Card, ...]:
    budget = chosen.budget
    told = None if burn is None else forecast(chosen, burn, now)
    ends = (
        "never ends"
        if chosen.ends_us is None
        else f"until {datetime.fromtimestamp(chosen.ends_us / 1e6, UTC):%d %B %H:%M}"
    )
    over = told is not None and told[0] > budget.amount_nanousd
    band = "" if told is None or not told[2] else f"95 %: {numbers.money(told[1])} to {numbers.money(told[2])}"
    return (
        Card(
            label=_name(chosen, names),
            value=budget.amount_nanousd,
            kind="money",
            more=f"{budget.period}, {'hard' if budget.hard else 'soft'}, {ends}",
        ),
        Card(
            label="Spent",
            value=chosen.settled_nanousd,
            kind="money",
            more=f"{numbers.share(used(chosen))} used, with what is set aside",
        ),
        Card(label="Set aside", value=chosen.reserved_nanousd, kind="money", more="for calls under way"),
        Card(
            label="Left",
            value=chosen.left_nanousd,
            kind="money",
            more=f"{numbers.count(chosen.unknown)} calls of unknown cost" if chosen.unknown else "",
            tone="worse" if chosen.left_nanousd < 0 else "",
        ),
        Card(
            label="Forecast at its end",
            value=None if told is None else told[0],
            kind="text" if told is None else "money",
            more="; ".join(
                filter(
                    None, ("over the budget" if over else "", band, "at the pace so far" if told else "cannot be told")
                )
            ),
            tone="worse" if over else "",
        ),
    )


def _todos(ranked: Sequence[Standing], names: Mapping[str, str]) -> list[ToDo]:
    spent = [standing for standing in ranked if used(standing) >= 1]
    return [
        ToDo(
            subject=_name(standing, names),
            words=f"its {standing.budget.period} budget is spent",
            link=f"/dashboard/budgets?budget={quote(standing.budget.budget_id)}",
        )
        for standing in spent[:5]
    ]


def _slots(chosen: Standing, burn: Burn) -> tuple[list[datetime], timedelta]:
    """When each slot begins, up to the window's end, and how long it is."""
    starts = list(burn.starts)
    slot = starts[1] - starts[0] if len(starts) > 1 else _DAY
    if chosen.ends_us is not None:
        end = datetime.fromtimestamp(chosen.ends_us / 1e6, UTC)
        while starts and starts[-1] + slot < end and len(starts) < _MOST_DAYS:
            starts.append(starts[-1] + slot)
    return starts, slot


def _burn_down(chosen: Standing, burn: Burn, names: Mapping[str, str], now: datetime) -> Panel:
    amount = chosen.budget.amount_nanousd
    starts, slot = _slots(chosen, burn)
    spent = np.cumsum(burn.spent_nanousd).tolist()
    known = len(spent)
    told = forecast(chosen, burn, now)
    to_come = len(starts) - known
    form = "%d %b %H:00" if slot < _DAY else "%a %d %b"
    labels = tuple(f"{start:{form}}" for start in starts)
    final = (spent[-1] if spent else 0) if told is None else told[0]
    last = spent[-1] if spent else 0
    ahead = [None] * max(0, known - 1) + [
        amount - last - (final - last) * n / max(1, to_come) for n in range(to_come + 1)
    ]
    rows = tuple(
        (name, now_spent, sum_, amount - sum_)
        for name, now_spent, sum_ in zip(labels, burn.spent_nanousd, spent, strict=False)
    )
    return Panel(
        id="burn-down",
        title=f"What is left of {_name(chosen, names)}",
        chart=Chart(
            kind="lines",
            labels=labels,
            unit="money",
            series=(
                Series(name="Left", color="spent", values=(*(amount - total for total in spent), *([None] * to_come))),
                Series(
                    name="Forecast at the pace so far",
                    color="reference",
                    values=tuple(ahead[: len(labels)]),
                    dashed=True,
                ),
                Series(
                    name="Left, what is set aside subtracted",
                    color="rejected",
                    values=(
                        *([None] * max(0, known - 1)),
                        amount - last - chosen.reserved_nanousd,
                        *([None] * to_come),
                    )[: len(labels)],
                ),
            ),
        ),
        table=Table(
            columns=(
                Column(name="When"),
                Column(name="Spent", kind="money"),
                Column(name="Together", kind="money"),
                Column(name="Left", kind="money"),
            ),
            rows=rows[::-1],
        ),
        note="Of attempts opened since the window began; the budget itself counts from when it was set, so the two "
        "may differ.",
    )


def _all(ranked: Sequence[Standing], names: Mapping[str, str]) -> Panel:
    return Panel(
        id="budgets",
        title="All budgets",
        table=Table(
            columns=(
                Column(name="Of"),
                Column(name="Period"),
                Column(name="Kind", spare=True),
                Column(name="Amount", kind="money"),
                Column(name="Spent", kind="money"),
                Column(name="Set aside", kind="money", spare=True),
                Column(name="Left", kind="money"),
                Column(name="Used", kind="share"),
            ),
            rows=tuple(
                (
                    _name(one, names),
                    one.budget.period,
                    "hard" if one.budget.hard else "soft",
                    one.budget.amount_nanousd,
                    one.settled_nanousd,
                    one.reserved_nanousd,
                    one.left_nanousd,
                    used(one),
                )
                for one in ranked
            ),
            links=tuple(f"/dashboard/budgets?budget={quote(one.budget.budget_id)}" for one in ranked),
        ),
        open=True,
        empty="There are no budgets yet; spillway budgets set makes one.",
    )
