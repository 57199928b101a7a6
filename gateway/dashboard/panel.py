"""What a page is made of: figures, charts and tables, each with the plain values that it shows.

Knows shapes and how a value is written as a person reads it, and as CSV. Knows no ledger, no page and no HTML.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.dashboard import numbers
from gateway.ledger.entry import usd
from gateway.ledger.newest import Seen

Value = str | int | float | None
Tone = Literal["", "better", "worse"]
Kind = Literal["text", "count", "money", "share", "seconds", "probability", "tokens", "number", "link"]
"""What a value means. money: integer nano-USD.   share: a ratio.   link: a text, and where it leads in ``links``."""

MOST_SHOWN = 50  # rows of a table on a page; the CSV has all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table. spare : left out where there is little room."""

    name: str
    kind: Kind = "text"
    spare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of plain values. links : by row, where its first cell leads; empty: nowhere."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    links: tuple[str | None, ...] = ()

    @property
    def shown(self) -> tuple[tuple[Value, ...], ...]:
        """The rows that a page shows."""
        return self.rows[:MOST_SHOWN]

    @property
    def hidden(self) -> int:
        """How many rows only the CSV has."""
        return max(0, len(self.rows) - MOST_SHOWN)

    def decimals(self, column: int) -> int | None:
        """How many decimals the amounts of a column are shown with; None where they are no amounts."""
        if self.columns[column].kind != "money":
            return None
        amounts = (row[column] for row in self.shown)
        return numbers.decimals_for(amount for amount in amounts if isinstance(amount, int))

    def as_csv(self) -> str:
        """Everything, unrounded: amounts in US dollars, what is not known empty."""
        said = io.StringIO()
        writer = csv.writer(said, lineterminator="\n")
        writer.writerow([_heading(column) for column in self.columns])
        for row in self.rows:
            writer.writerow([_plain(value, column.kind) for value, column in zip(row, self.columns, strict=True)])
        return said.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line, or bars of one colour. low, high : a band around it.   color : a name that the style sheet knows."""

    name: str
    values: tuple[float | None, ...]
    color: str
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture of a table's figures.

    kind : bars beside each other, bars upon each other, bars that lie, lines over labels, or points in a plane.
    x : positions of points, for a plane.   unit : of the values.   reaches_zero : whether the scale begins there.
    """

    kind: Literal["bars", "stacked", "lying", "lines", "plane"]
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    unit: Kind
    x: tuple[float, ...] = ()
    x_unit: Kind = "number"
    x_title: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value is not None for series in self.series for value in series.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question and its answer. note : what a reader must know beside it.   empty : said where there is no row."""

    id: str
    title: str
    table: Table
    chart: Chart | None = None
    note: str = ""
    empty: str = "Nothing was asked in this period."
    wide: bool = True
    open: bool = False  # whether the table is shown at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One figure. tone : better or worse, where it is one of these."""

    label: str
    value: Value
    kind: Kind
    more: str = ""
    tone: Tone = ""
    none: str = "–"  # where there is no value


@dataclass(frozen=True, slots=True, kw_only=True)
class ToDo:
    """Something that waits for a person. link : where it is done."""

    words: str
    subject: str = ""
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """A slider: what each of its positions comes to, in US dollars of a thousand requests, and where it stands.

    name, label, question : the field's name, what it is called, and what is asked by it.
    words : by position.   first, step : the field's value at the first position, and from one to the next.
    quality : what the quality that is told is.
    policy, shares : on which parts of whose conversations it can be tried.
    canary, canary_share, canary_written : what is tried now, on which part, and whether the configuration says so.
    """

    name: str
    label: str
    question: str
    words: tuple[str, ...]
    today: int
    chosen: int
    points: tuple[Mapping[str, float | None], ...]
    quality: str
    first: float = 0.0
    step: float = 0.01
    policy: str = ""
    shares: tuple[float, ...] = ()
    canary: str | None = None
    canary_share: float = 0.0
    canary_written: bool = False

    @property
    def last(self) -> float:
        """The field's value at the last position."""
        return self.first + self.step * (len(self.points) - 1)

    def value(self, position: int) -> str:
        """As the field has it."""
        return f"{self.first + self.step * position:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What one page says of what was asked. decisions : requests to be listed; None: this page lists none."""

    cards: tuple[Card, ...] = ()
    todos: tuple[ToDo, ...] = ()
    panels: tuple[Panel, ...] = ()
    remarks: tuple[str, ...] = ()
    decisions: tuple[Seen, ...] | None = None
    older: str | None = None  # before which decision the next page of them begins
    is_paged: bool = False
    is_first: bool = False  # whether nothing was asked yet
    what_if: WhatIf | None = None
    file: tuple[str, str] | None = None  # name and content of what can be saved from the page
    reviews: tuple[Seen, ...] | None = None  # answers that wait for a label
    reviewed: int = 0
    choices: tuple[tuple[str, str, bool], ...] = ()  # other views of the page: query, word, whether it is this one
    kept: Mapping[str, str] = field(default_factory=dict)  # what else its address says

    def panel(self, wanted: str) -> Panel | None:
        """The panel of this name."""
        return next((panel for panel in self.panels if panel.id == wanted), None)


def shown(value: Value, kind: Kind, decimals: int | None = None) -> str:
    """As a person reads it; what is not known is said to be so, or a dash where there is nothing to know."""
    if kind == "money":
        return numbers.money(None if value is None else int(value), decimals)
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    match kind:
        case "count":
            return numbers.count(int(value))
        case "share":
            return numbers.share(float(value))
        case "seconds":
            return numbers.seconds(float(value))
        case "probability":
            return numbers.probability(float(value))
        case "tokens":
            return numbers.tokens(int(value))
        case _:
            return f"{value:,.4g}" if isinstance(value, float) else str(value)


def exact(value: Value, kind: Kind) -> str:
    """Unrounded, for a tooltip; empty where that says nothing more."""
    return f"{usd(int(value))} USD" if kind == "money" and isinstance(value, int) else ""


def _heading(column: Column) -> str:
    name = column.name.lower().replace(" ", "_")
    return f"{name}_usd" if column.kind == "money" else f"{name}_s" if column.kind == "seconds" else name


def _plain(value: Value, kind: Kind) -> str:
    if value is None:
        return ""
    if kind == "money":
        return usd(int(value))
    text = repr(value) if isinstance(value, float) else str(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in "=+-@\t\r" else text  # a sheet would compute it


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names in a sentence, not too many of them."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
