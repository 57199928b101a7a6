"""Every planted error of an invoice is found and named, and nothing else is."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.reconcile.compare import Booked, Variance, compare
from gateway.ledger.reconcile.invoice import Invoice, read_invoice

FIRST = date(2026, 10, 5)
DAYS = [FIRST + timedelta(days=n) for n in range(6)]
RATES = {"input": 150, "output": 600}  # nano-USD per token
MAPPING = """
day: day
model: model
meter: meter
quantity: quantity
amount: amount
currency: currency
"""
Line = dict[str, str]


def booked() -> list[Booked]:
    """Two models, two meters, six days and the one before and after, each hour another count."""
    start = (FIRST - date(1970, 1, 1)).days * 86_400
    return [
        Booked(hour_s=start + hour * 3600, model=model, meter=meter, quantity=count, nanousd=count * rate)
        for hour in range(-24, 24 * 7)
        for m, model in enumerate(("gpt-4o", "gpt-4o-mini"))
        for meter, rate in RATES.items()
        if (count := 100_000 + 1000 * ((hour * 37 + m * 11) % 97))
    ]


def lines(of: list[Booked], offset: int = 0) -> list[Line]:
    """The invoice that agrees, of days that begin so many hours before those of UTC."""
    sums: dict[tuple[str, str, str], int] = {}
    for item in of:
        day = date(1970, 1, 1) + timedelta(days=(item.hour_s + offset * 3600) // 86_400)
        if day in DAYS:
            key = (day.isoformat(), item.model, item.meter)
            sums[key] = sums.get(key, 0) + item.quantity
    return [
        {
            "day": day,
            "model": model,
            "meter": meter,
            "quantity": str(quantity),
            "amount": str(Decimal(quantity * RATES[meter]).scaleb(-9)),
            "currency": "usd",
        }
        for (day, model, meter), quantity in sums.items()
    ]


def read(listed: list[Line], folder: Path, mapping: str = MAPPING) -> Invoice:
    path, described = folder / "invoice.csv", folder / "columns.yaml"
    head = "day,model,meter,quantity,amount,currency"
    path.write_text("\n".join([head, *(",".join(line.values()) for line in listed)]) + "\n")
    described.write_text(mapping)
    return read_invoice(path, mapping=described)


def short(found: list[Variance]) -> set[tuple[str, str, str, str]]:
    return {(one.day.isoformat(), one.model, one.meter, one.cause) for one in found}


def test_what_agrees_has_no_variance(tmp_path: Path) -> None:
    assert compare(read(lines(booked()), tmp_path), booked()) == []


def line(listed: list[Line], day: int, model: str, meter: str) -> Line:
    return next(
        one for one in listed if (one["day"], one["model"], one["meter"]) == (DAYS[day].isoformat(), model, meter)
    )


def test_each_planted_error_is_found_and_named_and_nothing_else(tmp_path: Path) -> None:
    listed, mine = lines(booked()), booked()
    listed.remove(line(listed, 0, "gpt-4o", "input"))
    listed.append({**listed[0], "model": "gpt-5", "day": DAYS[1].isoformat()})
    more = line(listed, 2, "gpt-4o-mini", "input")
    more["quantity"] = str(int(more["quantity"]) + 5)
    dearer = line(listed, 3, "gpt-4o", "output")
    dearer["amount"] = str(Decimal(dearer["amount"]) * 2)
    listed.append(dict(line(listed, 4, "gpt-4o", "input")))
    line(listed, 5, "gpt-4o", "output")["currency"] = "eur"
    start = (DAYS[1] - date(1970, 1, 1)).days * 86_400
    mine.append(Booked(hour_s=start, model="gpt-4o-mini", meter="output", quantity=0, nanousd=0, unknown=2))
    found = compare(read(listed, tmp_path), mine)
    assert short(found) == {
        (DAYS[0].isoformat(), "gpt-4o", "input", "missing in invoice"),
        (DAYS[1].isoformat(), "gpt-5", listed[0]["meter"], "missing in ledger"),
        (DAYS[1].isoformat(), "gpt-4o-mini", "output", "unknown price"),
        (DAYS[2].isoformat(), "gpt-4o-mini", "input", "quantity differs"),
        (DAYS[3].isoformat(), "gpt-4o", "output", "rate differs"),
        (DAYS[4].isoformat(), "gpt-4o", "input", "duplicate rows"),
        (DAYS[5].isoformat(), "gpt-4o", "output", "currency"),
    }
    by_cause = {one.cause: one for one in found}
    assert by_cause["quantity differs"].note == "+5 charged"
    assert by_cause["rate differs"].note == "1.2 USD a million charged, 0.6 booked"
    twice = by_cause["duplicate rows"]
    assert (twice.invoice_quantity, twice.ledger_quantity) == (2 * (twice.ledger_quantity or 0), twice.ledger_quantity)
    assert by_cause["unknown price"].ledger_nanousd is None


@pytest.mark.parametrize("offset", [-8, -7, 1, 9])
def test_days_that_begin_elsewhere_are_told_from_wrong_counts(tmp_path: Path, offset: int) -> None:
    found = compare(read(lines(booked(), offset), tmp_path), booked())
    assert len(found) == len(DAYS) * 4
    assert {one.cause for one in found} == {"timezone shift"}
    assert f"UTC{offset:+d}" in found[0].note


def test_an_error_beside_shifted_days_is_still_told_by_its_own_name(tmp_path: Path) -> None:
    listed = lines(booked(), -8)
    more = line(listed, 2, "gpt-4o", "input")
    more["quantity"] = str(int(more["quantity"]) + 5)
    found = {(one.day, one.model, one.meter): one.cause for one in compare(read(listed, tmp_path), booked())}
    assert found.pop((DAYS[2], "gpt-4o", "input")) == "quantity differs"
    assert set(found.values()) == {"timezone shift"}


def test_money_of_another_country_is_compared_where_its_worth_is_said(tmp_path: Path) -> None:
    listed = lines(booked())
    for one in listed:
        one["currency"], one["amount"] = "EUR", str(Decimal(one["amount"]) / 2)
    assert {one.cause for one in compare(read(listed, tmp_path), booked())} == {"currency"}
    assert compare(read(listed, tmp_path, MAPPING + "exchange: {eur: 2}\n"), booked()) == []


def test_days_of_the_file_can_be_said_to_begin_elsewhere(tmp_path: Path) -> None:
    moments = [{**one, "day": f"{one['day']}T07:00:00+00:00"} for one in lines(booked())]
    shifted = read(moments, tmp_path, MAPPING + "zone: America/Los_Angeles\n")
    assert shifted.days == (DAYS[0], DAYS[-1])
    assert read([{**one, "day": "1790000000"} for one in moments[:1]], tmp_path).days[0] == date(2026, 9, 21)


def test_models_by_their_dated_names_are_the_same_models(tmp_path: Path) -> None:
    dated = [{**one, "model": one["model"] + "-2024-08-06"} for one in lines(booked())]
    assert compare(read(dated, tmp_path), booked()) == []


def test_calls_that_were_alike_are_no_duplicates(tmp_path: Path) -> None:
    listed, mine = lines(booked()), booked()
    again = line(listed, 1, "gpt-4o", "input")
    listed.append(dict(again))
    start = (DAYS[1] - date(1970, 1, 1)).days * 86_400
    count = int(again["quantity"])
    mine.append(Booked(hour_s=start, model="gpt-4o", meter="input", quantity=count, nanousd=count * 150))
    assert compare(read(listed, tmp_path), mine) == []


@given(st.integers(0, 23), st.sampled_from(["quantity", "amount"]), st.integers(2, 9))
def test_any_one_wrong_number_is_the_only_variance(
    tmp_path_factory: pytest.TempPathFactory, n: int, name: str, by: int
) -> None:
    listed = lines(booked())
    wrong = listed[n]
    wrong[name] = str(Decimal(wrong[name]) * by)
    (found,) = compare(read(listed, tmp_path_factory.mktemp("i")), booked())
    assert (found.day.isoformat(), found.model, found.meter) == (wrong["day"], wrong["model"], wrong["meter"])
    assert found.cause == {"quantity": "quantity differs", "amount": "rate differs"}[name]
