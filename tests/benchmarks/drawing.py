"""Series of measurements as an SVG: one panel for each axis, both scales logarithmic, so that growth is a slope.

Knows numbers. Knows not what was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import log
from pathlib import Path

_WIDTH, _HEIGHT, _MARGIN, _LEGEND = 420, 360, 50, 70
_COLOURS = ("#1d4ed8", "#b45309", "#047857", "#7c3aed", "#be123c", "#334155")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """axis : what is on the horizontal one; series of one axis share a panel.   points : (x, y), all above 0."""

    name: str
    axis: str
    points: tuple[tuple[float, float], ...]


def draw_series(series: Sequence[Series], measure: str, path: Path) -> None:
    """Write the SVG."""
    axes = list(dict.fromkeys(one.axis for one in series))
    panels = [
        f'<g transform="translate({place * _WIDTH} 0)">'
        f"{_panel([one for one in series if one.axis == axis], axis, measure)}</g>"
        for place, axis in enumerate(axes)
    ]
    width = _WIDTH * len(axes)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT + _LEGEND}" '
        'font-family="system-ui, sans-serif" font-size="11">'
        f'<rect width="{width}" height="{_HEIGHT + _LEGEND}" fill="white"/>{"".join(panels)}</svg>\n',
        encoding="utf-8",
    )


def _panel(series: Sequence[Series], axis: str, measure: str) -> str:
    xs = sorted({x for one in series for x, _ in one.points})
    ys = [y for one in series for _, y in one.points]
    left, right, low, high = xs[0], xs[-1], min(ys), max(ys)

    def at(x: float, y: float) -> tuple[float, float]:
        across = log(x / left) / max(log(right / left), 1e-9)
        up = log(y / low) / max(log(high / low), 1e-9)
        return _MARGIN + across * (_WIDTH - 2 * _MARGIN), _HEIGHT - _MARGIN - up * (_HEIGHT - 2 * _MARGIN)

    parts = [f'<text x="{_MARGIN}" y="20" font-size="13">{escape(measure)} by {escape(axis)}</text>']
    for x in xs:
        place = at(x, low)[0]
        parts.append(f'<text x="{place:.1f}" y="{_HEIGHT - _MARGIN + 16}" text-anchor="middle">{x:g}</text>')
    for y in (low, (low * high) ** 0.5, high):
        place = at(left, y)[1]
        parts.append(f'<text x="{_MARGIN - 6}" y="{place:.1f}" text-anchor="end">{y:.2g}</text>')
        parts.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{place:.1f}" y2="{place:.1f}" stroke="#e5e7eb"/>'
        )
    for number, one in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [at(x, y) for x, y in one.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        below = _HEIGHT + 6 + 18 * number
        parts.append(f'<text x="{_MARGIN}" y="{below}" fill="{colour}">{escape(one.name)}</text>')
    return "".join(parts)
