"""Tables say the same on a page and in a CSV, and a sheet computes nothing of what it is given."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, text

from gateway.dashboard.panel import MOST_SHOWN, Chart, Column, Series, Table, Value, exact, listed, shown


def rows_of(table: Table) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table.as_csv())))


def test_a_csv_is_exact_and_says_nothing_of_what_is_unknown() -> None:
    columns = (Column(name="Model"), Column(name="Spent", kind="money"), Column(name="Mean time", kind="seconds"))
    table = Table(columns=columns, rows=(("a,b", 1, 0.25), ("c", None, None)))
    assert rows_of(table) == [["model", "spent_usd", "mean_time_s"], ["a,b", "0.000000001", "0.25"], ["c", "", ""]]


@given(text(), integers(-(10**18), 10**18), floats(allow_nan=False, allow_infinity=False))
def test_every_value_comes_back(word: str, amount: int, number: float) -> None:
    word = word.replace("\r", "").replace("\n", "").replace("\0", "")
    columns = (Column(name="a"), Column(name="b", kind="money"), Column(name="c", kind="number"))
    row = rows_of(Table(columns=columns, rows=((word, amount, number),)))[1]
    assert row[0] in (word, f"'{word}")
    assert (round(float(row[1]) * 1e9) - amount) / max(1, abs(amount)) == pytest.approx(0, abs=1e-9)
    assert float(row[2]) == number


@pytest.mark.parametrize("word", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_text_is_a_formula(word: str) -> None:
    assert rows_of(Table(columns=(Column(name="a"),), rows=((word,),)))[1] == [f"'{word}"]


def test_a_page_shows_some_rows_and_says_how_many_are_left() -> None:
    table = Table(columns=(Column(name="a", kind="money"),), rows=tuple((n * 10**10,) for n in range(MOST_SHOWN + 3)))
    assert (len(table.shown), table.hidden, table.decimals(0)) == (MOST_SHOWN, 3, 2)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (None, "money", "unknown"),
        (None, "share", "–"),
        (0.5, "share", "50.0\u202f%"),
        (1234, "count", "1,234"),
        (0.25, "seconds", "250\u202fms"),
        (0.123, "probability", "0.12"),
        (1500, "tokens", "1.5k"),
        (0.12345, "number", "0.1235"),
        ("text", "money", None),
    ],
)
def test_values_are_shown_by_what_they_are(value: Value, kind: str, words: str | None) -> None:
    if words is not None:
        assert shown(value, kind) == words  # type: ignore[arg-type]


def test_an_amount_tells_itself_exactly() -> None:
    assert (exact(1, "money"), exact(1, "count"), exact(None, "money")) == ("0.000000001 USD", "", "")
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"


def test_a_chart_of_nothing_is_empty() -> None:
    series = Series(name="a", color="spent", values=(None, None))
    assert Chart(kind="lines", labels=("1", "2"), unit="count", series=(series,)).is_empty
