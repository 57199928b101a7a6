"""Who spends and on what: by key, team, organisation, model, provider, policy or tag. Knows no SQL, HTML or HTTP."""

from collections.abc import Mapping, Sequence

from gateway.dashboard.filters import Filters
from gateway.dashboard.panel import Card, Chart, Column, Content, Panel, Series, Table, Value
from gateway.ledger.reports import TAG, SpendRow

BREAKDOWNS = ("key", "team", "org", "model", "provider", "policy")
_TOP = 15
_NARROWS = {"key": "key", "team": "team", "org": "org", "model": "model", "policy": "policy"}
_WITHOUT = {
    "key": "without a key",
    "team": "no team",
    "policy": "models by their names",
    "provider": "no provider named",
}


def breakdown(by: str, rows: Sequence[SpendRow], names: Mapping[str, str], filters: Filters) -> Content:
    """The page. rows : costliest first.   names : of headings that are identifiers."""
    labels = [_label(by, row, names) for row in rows]
    top = rows[:_TOP]
    spent = sum(row.known_nanousd for row in rows)
    rest = sum(row.known_nanousd for row in rows[_TOP:])
    more = f" and {len(rows) - _TOP} others" if len(rows) > _TOP else ""
    word = f"tag {by.removeprefix(TAG)}" if by.startswith(TAG) else by
    return Content(
        cards=(
            Card(label="Spent", value=spent, kind="money", more=f"by {len(rows)} of them"),
            Card(
                label=f"The {len(top)} that spent most",
                value=sum(row.known_nanousd for row in top) / spent if spent else None,
                kind="share",
                more="of all that was spent",
            ),
            Card(
                label="Rejected, shadow, judges",
                value=sum(row.rejected_nanousd + row.overhead_nanousd for row in rows),
                kind="money",
                more="spent for no answer that was given",
            ),
        ),
        panels=(
            Panel(
                id="breakdown",
                title=f"Spend by {word}",
                chart=Chart(
                    kind="lying",
                    labels=(*labels[:_TOP], *((f"{len(rows) - _TOP} others",) if rest else ())),
                    unit="money",
                    series=(
                        Series(
                            name="Spent",
                            color="spent",
                            values=(*(row.known_nanousd for row in top), *((rest,) if rest else ())),
                        ),
                    ),
                ),
                table=Table(
                    columns=_columns(by),
                    rows=tuple(_row(label, row, spent) for label, row in zip(labels, rows, strict=True)),
                    links=tuple(_link(by, row, filters) for row in rows),
                ),
                open=True,
                note=f"The picture has the first {_TOP}{more}." if more else "",
            ),
        ),
    )


def _label(by: str, row: SpendRow, names: Mapping[str, str]) -> str:
    if row.heading is None:
        return _WITHOUT.get(by, "without it")
    return names.get(row.heading, row.heading)


def _columns(by: str) -> tuple[Column, ...]:
    return (
        Column(name=(f"Tag {by.removeprefix(TAG)}" if by.startswith(TAG) else by.capitalize())),
        Column(name="Spent", kind="money"),
        Column(name="Share", kind="share"),
        Column(name="Requests", kind="count", spare=True),
        Column(name="Calls", kind="count"),
        Column(name="Rejected", kind="money", spare=True),
        Column(name="Unknown cost", kind="count", spare=True),
        Column(name="Tokens in", kind="tokens", spare=True),
        Column(name="Tokens out", kind="tokens", spare=True),
        Column(name="Cache hits", kind="count", spare=True),
    )


def _row(label: str, row: SpendRow, spent: int) -> tuple[Value, ...]:
    return (
        label, row.nanousd, row.known_nanousd / spent if spent else None, row.requests, row.attempts,
        row.rejected_nanousd,
        row.unknown, row.prompt_tokens, row.completion_tokens, row.cache_hits,
    )  # fmt: skip


def _link(by: str, row: SpendRow, filters: Filters) -> str | None:
    if row.heading is None:
        return None
    if by.startswith(TAG):
        return f"/dashboard{filters.query(tag=f'{by.removeprefix(TAG)}={row.heading}')}"
    return f"/dashboard{filters.query(**{_NARROWS[by]: row.heading})}" if by in _NARROWS else None


def choices(by: str) -> tuple[tuple[str, str, bool], ...]:
    """What it can be broken down by: value, word, and whether it is now."""
    listed = [*BREAKDOWNS, *([by] if by.startswith(TAG) else [])]
    words = {"org": "organisation"}
    return tuple((one, words.get(one, one.replace(TAG, "tag ", 1)), one == by) for one in listed)
