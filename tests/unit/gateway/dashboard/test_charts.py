"""Charts hold nothing that a strict page refuses, whatever they are called and whatever they show."""

import math
import re
from typing import Literal, get_args
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, lists, none, one_of, text

from gateway.dashboard.charts import drawn
from gateway.dashboard.panel import Chart, Series

Shape = Literal["bars", "stacked", "lying", "lines", "plane"]
XML = text(alphabet=[chr(n) for n in range(32, 127)], max_size=60)


def chart(kind: Shape, values: list[float | None], name: str = "a") -> Chart:
    labels = tuple(f"{name} {n}" for n in range(len(values)))
    series = Series(name=name, color="spent", values=tuple(values), low=tuple(values), high=tuple(values))
    x = tuple(float(n) for n in range(len(values)))
    return Chart(kind=kind, labels=labels, unit="money", series=(series,), x=x if kind == "plane" else ())


@pytest.mark.parametrize("kind", get_args(Shape))
@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [-5e9, 1.0], [None, 3e18], [1.0] * 90])
def test_every_kind_is_drawn_without_style_script_or_id(kind: Shape, values: list[float | None]) -> None:
    told = drawn(chart(kind, values), wide=True)
    assert told is not None
    assert told.count("<svg") == 2
    for svg in re.findall(r"<svg.*?</svg>", told, re.DOTALL):
        root = ET.fromstring(svg)
        assert root.get("aria-hidden") == "true"
        for element in root.iter():
            assert element.tag.rpartition("}")[2] in ("svg", "g", "rect", "path", "text", "title", "circle", "line")
            assert not {"style", "id", "onclick"} & set(element.attrib)
    assert 'class="series spent"' in told


@settings(max_examples=20)
@given(XML, lists(one_of(none(), floats(-1e15, 1e15)), min_size=1, max_size=5))
def test_names_are_text_and_no_markup(name: str, values: list[float | None]) -> None:
    told = drawn(chart("lying", values, f"<b>{name}"), wide=False)
    assert told is None or "<b>" not in told


@settings(max_examples=50)
@given(floats(-1e15, 1e15), floats(-1e15, 1e15), lists(integers(-9, 9), min_size=2, max_size=5))
def test_values_that_differ_in_their_last_bits_are_drawn_as_well(x: float, y: float, bits: list[int]) -> None:
    close = [tuple(around + n * math.ulp(around) for n in bits) for around in (x, y)]
    series = Series(name="a", color="spent", values=close[1])
    labels = tuple(str(n) for n in bits)
    drawn(Chart(kind="plane", labels=labels, unit="share", series=(series,), x=close[0]), wide=False)


@pytest.mark.parametrize("kind", get_args(Shape))
@pytest.mark.parametrize("values", [[math.nan], [math.inf, 1.0], [-math.inf, math.nan], [1e300, 2.0], [10**400]])
def test_what_has_no_place_on_a_scale_is_left_out(kind: Shape, values: list[float | None]) -> None:
    assert drawn(chart(kind, values), wide=False)


def test_nothing_is_no_picture() -> None:
    assert drawn(chart("lines", [None]), wide=True) is None
