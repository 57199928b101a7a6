"""A provider's CSV file as charges: by day, model and meter, each row once, in US dollars.

Knows rows and what can be wrong with them. Knows no ledger.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.ledger.reconcile.mapping import BadInvoice, Columns, columns_for, plain_model

ALL = "*"
"""Stands for every model, or every meter, where a file does not tell them apart."""

Key = tuple[date, str, str]  # day, model, meter


@dataclass(slots=True)
class Charged:
    """What the file says under one key. None: it does not say."""

    quantity: int | None = None
    amount_usd: Decimal | None = None

    def add(self, quantity: int | None, amount_usd: Decimal | None) -> None:
        """Another row."""
        if quantity is not None:
            self.quantity = (self.quantity or 0) + quantity
        if amount_usd is not None:
            self.amount_usd = (self.amount_usd or Decimal(0)) + amount_usd


@dataclass(slots=True, kw_only=True)
class Invoice:
    """charges : without what stands twice.   repeated : what the rows that stand twice would add.
    foreign : by key, currencies that nothing says the worth of.
    """

    columns: Columns
    rows: int = 0
    charges: dict[Key, Charged] = field(default_factory=dict)
    repeated: dict[Key, Charged] = field(default_factory=dict)
    foreign: dict[Key, str] = field(default_factory=dict)

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last. Raises BadInvoice for a file without rows."""
        days = [key[0] for key in (*self.charges, *self.foreign)]
        if not days:
            raise BadInvoice("it has no rows of usage")
        return min(days), max(days)


def read_invoice(path: Path, *, name: str | None = None, mapping: Path | None = None) -> Invoice:
    """Raises BadInvoice naming the line and the column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = frozenset(reader.fieldnames or ())
            columns = columns_for(name, mapping, header)
            invoice = Invoice(columns=columns)
            seen: Counter[tuple[str, ...]] = Counter()
            for row in reader:
                place = f"{path}: line {reader.line_num}"
                whole = tuple(str(value) for value in row.values())
                _take(invoice, row, place, again=seen[whole] > 0)
                seen[whole] += 1
    except OSError as error:
        raise BadInvoice(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInvoice(f"{path}: is not UTF-8") from error
    except csv.Error as error:
        raise BadInvoice(f"{path}: is no CSV: {error}") from error
    return invoice


def _take(invoice: Invoice, row: Mapping[str, str | None], place: str, *, again: bool) -> None:
    columns = invoice.columns
    currency = (_cell(row, columns.currency, place) if columns.currency else "usd") or "usd"
    worth = Decimal(1) if currency.lower() == "usd" else _worth(columns, currency)
    parts = [part for part in _parts(columns, row, place) if part[2] is not None or part[3] is not None]
    if not parts:
        return  # a day without usage
    day = _day(_cell(row, columns.day, place), columns, f"{place}, {columns.day}")
    invoice.rows += 1
    for model, meter, quantity, amount in parts:
        key = (day, model, meter)
        if worth is None and amount is not None:
            invoice.foreign[key] = currency
        usd = None if amount is None or worth is None else amount * worth
        (invoice.repeated if again else invoice.charges).setdefault(key, Charged()).add(quantity, usd)


def _parts(
    columns: Columns, row: Mapping[str, str | None], place: str
) -> Iterator[tuple[str, str, int | None, Decimal | None]]:
    model, meter = ALL, ALL
    if columns.line_item is not None:
        model, _, meter = (part.strip() for part in _cell(row, columns.line_item, place).rpartition(","))
        model, meter = (model, meter) if model else (meter or ALL, ALL)
    elif columns.model is not None:
        model = _cell(row, columns.model, place)
        if not model:
            return
    model = columns.models.get(model, model if model == ALL else plain_model(model))
    if columns.meter is not None:
        meter = _cell(row, columns.meter, place)
    meter = columns.meters.get(meter, meter)
    amount = _number(row, columns.amount, place)
    amount = amount / 100 if amount is not None and columns.unit == "cents" else amount
    if not columns.counts:
        quantity = _number(row, columns.quantity, place)
        yield model, meter, None if quantity is None else int(quantity), amount
        return
    for counted, names in columns.counts.items():
        counts = [_number(row, name, place) for name in names]
        less = sum(int(_number(row, name, place) or 0) for name in columns.less.get(counted, ()))
        known = [int(count) for count in counts if count is not None]
        yield model, counted, sum(known) - less if known else None, None
    if amount is not None:
        yield model, ALL, None, amount


def _worth(columns: Columns, currency: str) -> Decimal | None:
    known = {name.lower(): rate for name, rate in columns.exchange.items()}
    return known.get(currency.lower())


def _cell(row: Mapping[str, str | None], name: str, place: str) -> str:
    value = row.get(name)
    if value is None:
        raise BadInvoice(f"{place}: there is no column {name!r}, or the line is cut short")
    return value.strip()


def _number(row: Mapping[str, str | None], name: str | None, place: str) -> Decimal | None:
    text = "" if name is None else (row.get(name) or "").strip().lstrip("$").replace(",", "")
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise BadInvoice(f"{place}, {name}: {text!r} is no number")
    return value


def _day(text: str, columns: Columns, place: str) -> date:
    try:
        if text.isdecimal() and len(text) > 8:
            return datetime.fromtimestamp(int(text), UTC).astimezone(ZoneInfo(columns.zone)).date()
        if len(text) <= 10:
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise BadInvoice(f"{place}: {text!r} is no day and no moment") from None
    return (moment.astimezone(ZoneInfo(columns.zone)) if moment.tzinfo else moment).date()
