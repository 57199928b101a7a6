"""Typed fields out of a JSON object, each refused by name where it is not what it should be.

Knows JSON values. Knows no file and no meaning.
"""

import math
from collections.abc import Mapping
from typing import Any

from router.errors import StrategyError


class Fields:
    """Takes typed fields out of a JSON object and says which one is wrong, and whether any is left over."""

    def __init__(self, document: object, where: str) -> None:
        if not isinstance(document, Mapping):
            raise StrategyError(f"{where.rstrip('.') or 'the file'}: must be a JSON object")
        self._left: dict[str, Any] = dict(document)
        self._where = where

    def take(self, name: str, kind: type, *default: Any) -> Any:
        where = self._where + name
        if name not in self._left and not default:
            raise StrategyError(f"{where}: is missing")
        value: Any = self._left.pop(name, *default)
        if default and value is default[0]:
            return value
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            raise StrategyError(f"{where}: must be {_NAMES[kind]}, not {value!r:.60}")
        return value

    def done(self) -> None:
        if self._left:
            raise StrategyError(f"{self._where}{next(iter(self._left))}: is not a field that this version knows")


_NAMES = {int: "an integer", float: "a finite number", str: "a string", dict: "an object", list: "a list"}
