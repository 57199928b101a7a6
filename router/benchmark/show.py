"""The benchmark's report as text tables.

Computes nothing.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from router.benchmark.nested import OURS

Told = Mapping[str, Any]


def show(report: Told) -> None:
    """All tables."""
    console = Console(width=150, highlight=False, markup=False)
    if report.get("queries"):
        _references(console, report)
        _savings(console, report, "match", "saving at equal quality: the least cost with the reference's quality")
        _savings(console, report, "most", "quality gained within the reference's cost")
        _caution(console, report["caution"])
        _areas(console, report["areas"])
        _calibration(console, report["calibration"])
    if report.get("apart"):
        _apart(console, {**report["apart"], "both together": report})
    for name, found in report.get("pairs", {}).items():
        _pair(console, name, found)
    console.print(f"seed {report['seed']}, {report['protocol']}, {report['wall_s']:.0f} s")


def _references(console: Console, report: Told) -> None:
    table = Table(title="the reference, and an oracle that calls the cheapest of the best models once")
    for column in ("set", "queries", "reference", "quality", "USD per 1k", "oracle's quality", "USD per 1k"):
        table.add_column(column)
    for name, found in report["references"].items():
        reference = (f"{found['quality']:.3f}", f"{found['usd_per_1k']:.2f}")
        oracle = (f"{found['oracle_quality']:.3f}", f"{found['oracle_usd_per_1k']:.2f}")
        table.add_row(name, f"{report['queries'][name]:,}", ", ".join(found["models"]), *reference, *oracle)
    console.print(table)


def _savings(console: Console, report: Told, goal: str, title: str) -> None:
    table = Table(title=title)
    for column in (
        "method",
        "choice",
        "set",
        "quality to reference, pt",
        "saving",
        "saving to cheapest equal",
        "alone",
    ):
        table.add_column(column)
    for method, ways in report[goal].items():
        for way, found in ways.items():
            rows = {"macro": found["macro"], **(found["sets"] if method == OURS else {})}
            for name, row in rows.items():
                alone = found["reference_alone"].get(name, sum(found["reference_alone"].values()))
                table.add_row(
                    method,
                    way,
                    name,
                    _points(row["quality"]),
                    _share(row["saving"]),
                    _share(row["saving_against_equal"]),
                    str(alone),
                )
    console.print(table)


def _caution(console: Console, levels: Told) -> None:
    table = Table(title="cascade_route: standard errors of caution, against saving (macro)")
    for column in ("caution", "choice", "quality to reference, pt", "saving"):
        table.add_column(column)
    for level, ways in levels.items():
        for way, found in ways.items():
            table.add_row(level, way, _points(found["macro"]["quality"]), _share(found["macro"]["saving"]))
    console.print(table)


def _areas(console: Console, areas: Told) -> None:
    table = Table(title="area under quality over log cost, cheapest model's to reference's cost, points (macro)")
    for column in ("method", "area", "cascade_route above it", "by set"):
        table.add_column(column)
    for name, found in areas.items():
        by_set = ", ".join(f"{dataset} {area['value']:.2f}" for dataset, area in found["sets"].items())
        above = "" if found["above"] is None else _number(found["above"])
        table.add_row(name, f"{found['macro']['value']:.2f}", above, by_set)
    console.print(table)


def _calibration(console: Console, calibration: Told) -> None:
    table = Table(title="calibration of beliefs in single answers, held out")
    for column in ("set", "ECE", "in excess of a perfect scorer's"):
        table.add_column(column)
    for name, found in calibration.items():
        table.add_row(name, f"{found['ece']:.4f}", _excess(found))
    console.print(table)


def _apart(console: Console, reports: Told) -> None:
    """The macro figures of queries out of fold, of those of another split, and of both together, side by side."""
    table = Table(title="macro: out of fold on the splits fitted on, judged once on the others, both together")
    table.add_column(OURS)
    for kind, report in reports.items():
        table.add_column(f"{kind}, {sum(report['queries'].values()):,} queries")
    for title, told in _rows(reports["both together"]).items():
        table.add_row(title, *(told(report) for report in reports.values()))
    console.print(table)


def _rows(report: Told) -> dict[str, Callable[[Told], str]]:
    """By title, how a row is read from any of the reports."""
    rows: dict[str, Callable[[Told], str]] = {}
    for way in ("pooled", "by set"):
        for level in report["caution"]:
            rows[f"match, {way}, caution {level}"] = partial(_brought, ("caution", level, way))
        rows[f"… against the cheapest equal model, {way}"] = partial(_against_equal, way)
        rows[f"most, {way}"] = partial(_brought, ("most", OURS, way))
    for name, area in report["areas"].items():
        if area["above"] is not None:
            rows[f"area above {name}"] = partial(_above, name)
    rows["calibration error in excess"] = lambda told: _excess(told["calibration"]["macro"])
    return rows


def _brought(path: tuple[str, ...], report: Told) -> str:
    found: Any = report
    for key in path:
        found = found[key]
    return f"{_points(found['macro']['quality'])}; {_share(found['macro']['saving'])}"


def _against_equal(way: str, report: Told) -> str:
    return _share(report["match"][OURS][way]["macro"]["saving_against_equal"])


def _above(name: str, report: Told) -> str:
    return _number(report["areas"][name]["above"])


def _excess(found: Told) -> str:
    low, high = found["excess"]["ci95"]
    return f"{found['excess']['value']:+.4f} ({low:+.4f} … {high:+.4f})"


def _pair(console: Console, name: str, found: Told) -> None:
    table = Table(title=f"{name}: {found['weak']} and {found['strong']}, {found['n']} queries")
    table.add_column("measure")
    table.add_column("value (95 %)")
    for measure, value in found.items():
        if isinstance(value, Mapping):
            spread = value.get("ci95")
            told = f"(sd {value['sd']:.3f} of {value['draws']:.0f} draws)" if spread is None else _bounds(spread, 1)
            table.add_row(measure, f"{value['value']:.3f} {told}")
    console.print(table)


def _points(found: Told) -> str:
    return f"{100 * found['value']:+.2f} {_bounds(found['ci95'], 100)}"


def _share(found: Told) -> str:
    low, high = found["ci95"]
    return f"{found['value']:.1%} ({low:.1%} … {high:.1%})"


def _number(found: Told) -> str:
    return f"{found['value']:+.2f} {_bounds(found['ci95'], 1)}"


def _bounds(bounds: Any, scale: float) -> str:
    return f"({scale * bounds[0]:+.2f} … {scale * bounds[1]:+.2f})"
