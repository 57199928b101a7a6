"""Charts as SVG, drawn by pygal and made fit for a strict page: no style, no script, no id, colours by class.

Knows sizes and what pygal calls things. Knows no page. Drawing is milliseconds of pure computation: draw in a thread.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal
from xml.etree import ElementTree as ET

from markupsafe import Markup

from gateway.dashboard import numbers
from gateway.dashboard.drawing import pygal
from gateway.dashboard.panel import Chart, Kind, Series, shown

Size = Literal["wide", "narrow"]
_SIZES: dict[Size, tuple[int, int]] = {"wide": (1080, 290), "narrow": (480, 270)}
_MOST_LABELS: dict[Size, int] = {"wide": 9, "narrow": 4}
_MOST_DOTS = 62
_MOST_POINTS = 30
_DIGITS = 9
_LEAST, _MOST = 1e-12, 1e24  # of anything that is drawn
_LYING_ROW = 30
_LONGEST_LABEL = 24
_SVG = "{http://www.w3.org/2000/svg}"
_MADE_BY = {
    "bars": pygal.Bar,
    "stacked": pygal.StackedBar,
    "lying": pygal.HorizontalBar,
    "lines": pygal.Line,
    "plane": pygal.XY,
}


def drawn(chart: Chart, *, wide: bool) -> Markup | None:
    """The chart, for wide pages too where there is room; None where there is nothing to draw."""
    if chart.is_empty:
        return None
    sizes: Sequence[Size] = ("wide", "narrow") if wide else ("narrow",)
    return Markup("").join(_drawn(chart, size) for size in sizes)


def forget_drawings() -> None:
    """Draw everything anew from now on."""
    _drawn.cache_clear()


@lru_cache(maxsize=512)
def _drawn(chart: Chart, size: Size) -> Markup:
    made = _made(chart, size)
    for series in chart.series:
        made.add(series.name, _values(chart, series.values), **_dots(chart, series))
        if series.low:
            made.add(f"{series.name}, at least", _values(chart, series.low), show_dots=False)
            made.add(f"{series.name}, at most", _values(chart, series.high), show_dots=False)
    root = ET.fromstring(made.render(disable_xml_declaration=True))  # noqa: S314 - what pygal has just made
    _stripped(root, _classes(chart))
    root.attrib.pop("id", None)
    root.set("class", f"drawn {size}")
    root.set("aria-hidden", "true")
    ET.register_namespace("", _SVG[1:-1])
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - escaped by ElementTree


def _made(chart: Chart, size: Size) -> Any:
    width, height = _SIZES[size]
    if chart.kind == "lying":
        height = 64 + _LYING_ROW * len(chart.labels)
    told = [_apart(v) for s in chart.series for v in (*s.values, *s.low, *s.high)]
    values = [v for v in told if v is not None]
    decimals = numbers.decimals_for([int(max(values, key=abs, default=0))]) if chart.unit == "money" else None
    made = _MADE_BY[chart.kind](
        width=width,
        height=height,
        margin=6,
        margin_left=10,
        margin_right=28,
        spacing=8,
        show_legend=False,
        show_y_guides=True,
        show_x_guides=chart.kind in ("lying", "plane"),
        js=(),
        css=(),
        dots_size=3,
        show_dots=chart.kind == "plane" or len(chart.labels) <= _MOST_DOTS,
        allow_interruptions=True,
        include_x_axis=chart.kind != "plane",
        show_minor_x_labels=False,
        value_formatter=lambda value: _tick(value, chart.unit, decimals),
        x_value_formatter=lambda value: _tick(value, chart.x_unit, None),
        max_scale=6,
        truncate_label=-1,
        order_min=None,
        x_title=chart.x_title or None,
        style=pygal.style.Style(
            label_font_size=13, major_label_font_size=13, title_font_size=13, font_family="inherit"
        ),
    )
    if chart.kind == "lying":
        made.x_labels = [_short(label) for label in reversed(chart.labels)]
        made.show_minor_x_labels = True
    elif chart.kind != "plane":
        made.x_labels = list(chart.labels)
        step = max(1, -(-len(chart.labels) // _MOST_LABELS[size]))
        made.x_labels_major = list(chart.labels[::-1][::step])
    if chart.kind == "plane":
        made.show_minor_x_labels = True
    if chart.unit == "share" and (chart.kind == "lying" or chart.x_unit == "probability"):
        made.range = (0, 1)
    if chart.x_unit == "probability":
        made.xrange = (0, 1)
    return made


def _dots(chart: Chart, series: Series) -> dict[str, Any]:
    """In a plane a point alone is a mark, and a curve of many points a line."""
    if chart.kind != "plane":
        return {}
    points = sum(value is not None for value in series.values)
    return {"dots_size": 6} if points == 1 else {"show_dots": points <= _MOST_POINTS}


def _values(chart: Chart, values: Sequence[float | None]) -> list[Any]:
    told = [_apart(value) for value in values]
    if chart.kind == "plane":
        return [(x, y) for x, y in zip(map(_apart, chart.x), told, strict=True) if x is not None and y is not None]
    return told[::-1] if chart.kind == "lying" else told


def _apart(value: float | None) -> float | None:
    """Values are equal or visibly not: between two that differ in their last bits, pygal looks for ticks for ever.

    What has no place on any scale is not drawn.
    """
    if value is None or not abs(value) <= _MOST:
        return None
    return 0.0 if abs(value) < _LEAST else float(f"{value:.{_DIGITS}g}")


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _tick(value: Any, unit: Kind, decimals: int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):  # pygal asks for both at once where there are two axes
        return ", ".join(_tick(part, unit, decimals) for part in value)
    if unit == "money":
        words = numbers.money(round(value), decimals)
        whole, point, fraction = words.partition(".")
        return f"{whole}{point}{fraction[:2]}{fraction[2:].rstrip('0')}"
    if unit == "share":
        return (
            f"{value:.0%}".replace("%", "\u202f%")
            if abs(value * 100 - round(value * 100)) < 1e-6
            else numbers.share(value)
        )
    return shown(round(value) if unit in ("count", "tokens") else float(value), unit)


def _classes(chart: Chart) -> list[str]:
    found = []
    for series in chart.series:
        found.append(f"series {series.color}{' dashed' if series.dashed else ''}")
        if series.low:
            found += [f"series {series.color} edge"] * 2
    return found


def _stripped(root: ET.Element, classes: Sequence[str]) -> None:
    """Without what a strict page refuses, and with titles in place of what pygal's script would show."""
    for parent in list(root.iter()):
        told = [child.text or "" for child in parent if child.tag == f"{_SVG}desc"]
        for child in list(parent):
            of_its_own = child.tag in (f"{_SVG}defs", f"{_SVG}style", f"{_SVG}script", f"{_SVG}desc")
            if of_its_own or (parent is root and child.tag == f"{_SVG}title"):
                parent.remove(child)
        if told:
            value, label = told[0], told[3] if len(told) > 3 else ""
            ET.SubElement(parent, f"{_SVG}title").text = f"{label}: {value}" if label else value
        parent.attrib.pop("style", None)
        words = parent.get("class", "").split()
        number = next((word[6:] for word in words if word.startswith("serie-")), None)
        if number is not None and int(number) < len(classes):
            parent.set("class", classes[int(number)])
