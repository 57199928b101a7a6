"""Where an invoice and the ledger differ, and why, as far as it can be told from the two alone.

Knows sums by day, model and meter, and the traces that each kind of error leaves. Knows no file and no table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

from gateway.ledger.reconcile.invoice import ALL, Charged, Invoice, Key
from gateway.ledger.reconcile.mapping import undated_model

Cause = Literal[
    "missing in ledger", "missing in invoice", "quantity differs", "rate differs", "duplicate rows", "currency",
    "timezone shift", "unknown price",
]  # fmt: skip

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S
_EPOCH = date(1970, 1, 1)
_OFFSETS = tuple(range(-12, 15))


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What the ledger says of an hour, a model and a meter.   unknown : of its lines, without a known price."""

    hour_s: int
    model: str
    meter: str
    quantity: int
    nanousd: int
    unknown: int = 0


@dataclass(slots=True)
class Entered:
    """The same of a day."""

    quantity: int = 0
    nanousd: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variance:
    """A day and model on which the two differ. What is None one of them does not say. ``note`` is for people."""

    day: date
    model: str
    meter: str
    cause: Cause
    note: str
    ledger_quantity: int | None
    invoice_quantity: int | None
    ledger_nanousd: int | None
    invoice_nanousd: int | None

    def as_json(self) -> dict[str, Any]:
        """Plain values, amounts in integer nano-USD."""
        return {name: getattr(self, name) for name in Variance.__slots__} | {"day": self.day.isoformat()}


def compare(invoice: Invoice, booked: Iterable[Booked], *, tolerance_usd: Decimal = Decimal("0.01")) -> list[Variance]:
    """In order of days. tolerance_usd : by so much an amount may differ, for invoices are rounded."""
    listed = list(booked)
    names = _names(invoice, {item.model for item in listed})
    charges = {(day, names.get(model, model), meter): value for (day, model, meter), value in invoice.charges.items()}
    repeated = {(day, names.get(model, model), meter): value for (day, model, meter), value in invoice.repeated.items()}
    foreign = {(day, names.get(model, model), meter): value for (day, model, meter), value in invoice.foreign.items()}
    by_meter = any(meter != ALL for _, _, meter in charges)
    judge = _Judge(charges, repeated, foreign, int(tolerance_usd * 10**9))
    entered = _by_day(listed, invoice, by_meter, 0)
    variances = judge.variances(entered)
    suspects = [v for v in variances if v.cause not in ("duplicate rows", "currency", "unknown price", "rate differs")]
    offset = _shift(judge, listed, invoice, by_meter, suspects) if suspects else 0
    if offset:
        rest = {(v.day, v.model, v.meter) for v in judge.variances(_by_day(listed, invoice, by_meter, offset))}
        explained = {(v.day, v.model, v.meter) for v in suspects} - rest
        variances = [_shifted(v, offset) if (v.day, v.model, v.meter) in explained else v for v in variances]
    return sorted(variances, key=lambda v: (v.day, v.model, v.meter))


class _Judge:
    def __init__(
        self, charges: Mapping[Key, Charged], repeated: Mapping[Key, Charged], foreign: Mapping[Key, str], most: int
    ) -> None:
        self._charges, self._repeated, self._foreign, self._most = charges, repeated, foreign, most

    def variances(self, entered: Mapping[Key, Entered]) -> list[Variance]:
        found = []
        for key in {*self._charges, *self._foreign, *entered}:
            told = self._cause(key, entered.get(key))
            if told is not None:
                found.append(self._variance(key, entered.get(key), *told))
        return found

    def _cause(self, key: Key, mine: Entered | None) -> tuple[Cause, str] | None:
        theirs = self._charges.get(key)
        if key in self._foreign:
            return "currency", f"charged in {self._foreign[key].upper()}; `exchange` does not say what it is worth"
        if theirs is None:
            assert mine is not None  # noqa: S101 - the key is of one of the two
            return ("missing in invoice", "calls that were not charged") if mine.quantity or mine.nanousd else None
        if mine is None:
            return ("missing in ledger", "charged, and no call is known") if _counts(theirs) else None
        again = self._repeated.get(key)
        if again is None or not _counts(again):
            return self._differing(theirs, mine)
        both = Charged(theirs.quantity, theirs.amount_usd)
        both.add(again.quantity, again.amount_usd)
        if self._differing(both, mine) is None:
            return None  # calls that were alike, not rows that stand twice
        without = self._differing(theirs, mine)
        if without is None:
            return "duplicate rows", "the same row stands in the file more than once; without that the two agree"
        return without

    def _differing(self, theirs: Charged, mine: Entered) -> tuple[Cause, str] | None:
        if mine.unknown and theirs.amount_usd is not None:
            return "unknown price", f"{mine.unknown} lines of the ledger have no price, so their cost is not known"
        if theirs.quantity is not None and theirs.quantity != mine.quantity:
            return "quantity differs", f"{theirs.quantity - mine.quantity:+d} charged"
        if theirs.amount_usd is None or abs(_nano(theirs.amount_usd) - mine.nanousd) <= self._most:
            return None
        if theirs.quantity is None:
            return "quantity differs", "amounts differ; the file has no quantity that would tell it from a rate"
        return "rate differs", f"{_rate(theirs)} USD a million charged, {_own_rate(mine)} booked"

    def _variance(self, key: Key, mine: Entered | None, cause: Cause, note: str) -> Variance:
        theirs, again = self._charges.get(key, Charged()), self._repeated.get(key, Charged())
        both = Charged(theirs.quantity, theirs.amount_usd)
        both.add(again.quantity, again.amount_usd)
        day, model, meter = key
        return Variance(
            day=day,
            model=model,
            meter=meter,
            cause=cause,
            note=note,
            ledger_quantity=None if mine is None or meter == ALL else mine.quantity,
            invoice_quantity=both.quantity,
            ledger_nanousd=None if mine is None or mine.unknown else mine.nanousd,
            invoice_nanousd=None if both.amount_usd is None else _nano(both.amount_usd),
        )


def _by_day(listed: Iterable[Booked], invoice: Invoice, by_meter: bool, offset: int) -> dict[Key, Entered]:
    """offset : days begin so many hours before those of UTC."""
    first, last = invoice.days
    entered: dict[Key, Entered] = {}
    for item in listed:
        day = _EPOCH + timedelta(days=(item.hour_s + offset * _HOUR_S) // _DAY_S)
        if first <= day <= last:
            key = (day, item.model if invoice.columns.by_model else ALL, item.meter if by_meter else ALL)
            total = entered.setdefault(key, Entered())
            total.quantity += item.quantity
            total.nanousd += item.nanousd
            total.unknown += item.unknown
    return entered


def _shift(judge: _Judge, listed: list[Booked], invoice: Invoice, by_meter: bool, suspects: list[Variance]) -> int:
    """The offset that explains most of what differs, if it explains at least half of it and a whole day; else 0."""
    if len({v.day for v in suspects}) < 2:
        return 0
    left = {
        offset: sum(
            v.cause in ("missing in ledger", "missing in invoice", "quantity differs")
            for v in judge.variances(_by_day(listed, invoice, by_meter, offset))
        )
        for offset in _OFFSETS
    }
    best = min(left, key=lambda offset: (left[offset], abs(offset)))
    return best if left[best] * 2 <= left[0] and left[best] < left[0] else 0


def _shifted(variance: Variance, offset: int) -> Variance:
    note = f"the two agree if days of the file are of UTC{offset:+d}; say so with `zone`"
    kept = {name: getattr(variance, name) for name in Variance.__slots__ if name not in ("cause", "note")}
    return Variance(**kept, cause="timezone shift", note=note)


def _names(invoice: Invoice, known: set[str]) -> dict[str, str]:
    """The file's names that are known here without the day of their version, or with it."""
    undated = {undated_model(name): name for name in sorted(known)}
    found = {}
    for model in {key[1] for key in (*invoice.charges, *invoice.repeated, *invoice.foreign)} - known:
        same = undated.get(undated_model(model))
        if same is not None:
            found[model] = same
    return found


def _counts(charged: Charged) -> bool:
    return bool(charged.quantity or charged.amount_usd)


def _nano(amount: Decimal) -> int:
    return int((amount * 10**9).to_integral_value())


def _rate(charged: Charged) -> str:
    if not charged.quantity or charged.amount_usd is None:
        return "?"
    return f"{(charged.amount_usd * 1_000_000 / charged.quantity).normalize():.6g}"


def _own_rate(mine: Entered) -> str:
    return f"{Decimal(mine.nanousd) / 1000 / mine.quantity:.6g}" if mine.quantity else "?"
