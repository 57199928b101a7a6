"""Fields are what they should be, or are refused by name."""

from typing import Any

import pytest

from router.errors import StrategyError
from router.fields import Fields


def test_fields_are_taken_once_each() -> None:
    fields = Fields({"n": 1, "share": 1, "name": "x"}, "part.")
    assert (fields.take("n", int), fields.take("name", str), fields.take("absent", str, None)) == (1, "x", None)
    assert isinstance(fields.take("share", float), float)  # JSON writes whole floats without a point
    fields.done()


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("1", int, r"part\.n: must be an integer, not '1'"),
        (True, int, r"part\.n: must be an integer, not True"),
        (1.5, int, r"part\.n: must be an integer"),
        (float("nan"), float, r"part\.n: must be a finite number"),
        ([], dict, r"part\.n: must be an object"),
    ],
)
def test_a_wrong_field_is_named(value: Any, kind: type, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        Fields({"n": value}, "part.").take("n", kind)


def test_what_is_missing_left_over_or_no_object_is_named() -> None:
    with pytest.raises(StrategyError, match=r"part\.n: is missing"):
        Fields({}, "part.").take("n", int)
    with pytest.raises(StrategyError, match=r"part\.m: is not a field"):
        Fields({"m": 1}, "part.").done()
    with pytest.raises(StrategyError, match="part: must be a JSON object"):
        Fields([], "part.")
