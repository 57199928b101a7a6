"""Series of measurements as an SVG: a row of panels for each measure, one for each axis, all scales logarithmic.

Growth is a slope there. Knows numbers. Knows not what was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log, log10
from pathlib import Path

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM, _LINE = 460, 330, 64, 24, 38, 30, 17
_COLOURS = ("#1d4ed8", "#b45309", "#047857", "#7c3aed", "#be123c", "#334155")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """axis : what is on the horizontal one, measure : on the vertical one; series of one of both share a panel.
    points : (x, y), all above 0."""

    name: str
    axis: str
    measure: str
    points: tuple[tuple[float, float], ...]


def draw_series(series: Sequence[Series], path: Path) -> None:
    """Write the SVG."""
    axes, measures = (list(dict.fromkeys(map(key, series))) for key in (_axis, _measure))
    most = max(len([one for one in series if (one.axis, one.measure) == (a, m)]) for a in axes for m in measures)
    width, high = _WIDTH * len(axes), _HEIGHT + _LINE * most + 12
    panels = [
        f'<g transform="translate({across * _WIDTH} {down * high})">'
        f"{_panel([one for one in series if (one.axis, one.measure) == (axis, measure)], axis, measure)}</g>"
        for down, measure in enumerate(measures)
        for across, axis in enumerate(axes)
    ]
    height = high * len(measures)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#334155">'
        f'<rect width="{width}" height="{height}" fill="white"/>{"".join(panels)}</svg>\n',
        encoding="utf-8",
    )


def ticks(low: float, high: float) -> list[float]:
    """Round numbers, 1, 2 and 5 times powers of ten or these powers alone, from at or below low to at or above high."""
    powers = range(floor(log10(low)) - 1, ceil(log10(high)) + 2)
    factors = (1, 2, 5) if high / low < 200 else (1,)
    every = [float(f"{factor}e{power}") for power in powers for factor in factors]
    below, above = max(tick for tick in every if tick <= low), min(tick for tick in every if tick >= high)
    return [tick for tick in every if below <= tick <= above]


def _axis(one: Series) -> str:
    return one.axis


def _measure(one: Series) -> str:
    return one.measure


def _panel(series: Sequence[Series], axis: str, measure: str) -> str:
    xs, ys = ([point[place] for one in series for point in one.points] for place in (0, 1))
    across, up = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + _share(x, across) * (right - _LEFT),
            bottom - _share(y, up) * (bottom - _TOP),
        )

    parts = [f'<text x="{_LEFT}" y="20" font-size="14">{escape(measure)} by {escape(axis)}</text>']
    for x in across:
        place = at(x, up[0])[0]
        parts.append(f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" y2="{bottom}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{place:.1f}" y="{bottom + 17}" text-anchor="middle">{_said(x)}</text>')
    for y in up:
        place = at(across[0], y)[1]
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{place:.1f}" y2="{place:.1f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{place + 4:.1f}" text-anchor="end">{_said(y)}</text>')
    for number, one in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [at(x, y) for x, y in one.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        below = _HEIGHT + 8 + _LINE * number
        parts.append(f'<circle cx="{_LEFT + 4}" cy="{below - 4}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT + 14}" y="{below}">{escape(one.name)}</text>')
    return "".join(parts)


def _share(value: float, scale: Sequence[float]) -> float:
    return log(value / scale[0]) / max(log(scale[-1] / scale[0]), 1e-9)


def _said(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
