"""Reads price lists: the JSON that replay data comes with, and YAML of the same shape.

Knows the two notations, that decimals stay as they were written and that no key may stand twice. Knows no rate.
"""

import json
from collections.abc import Hashable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from router.errors import PriceError

UNIT = "USD per 1,000,000 tokens"


def read_catalog(path: Path) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Every entry of a price list as (where it stands, model, fields), numbers as int or Decimal.

    The format stands in router/README.md. Raises PriceError naming file and entry.
    """
    document = _parse(path)
    if not isinstance(document, Mapping) or not isinstance(document.get("models"), Mapping):
        raise PriceError(f"{path}: must be a mapping with a field 'models' that maps each model to its price")
    unit = document.get("unit", UNIT)
    if unit != UNIT:
        raise PriceError(f"{path}: unit must be {UNIT!r}, not {unit!r}")
    for model, entry in document["models"].items():
        for position, version in enumerate(entry if isinstance(entry, list) else [entry]):
            where = f"{path}: models.{model}" + (f"[{position}]" if isinstance(entry, list) else "")
            if not isinstance(version, Mapping):
                raise PriceError(f"{where}: must be a mapping with at least 'input' and 'output'")
            yield where, str(model), version


def _parse(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PriceError(f"{path}: cannot be read: {error}") from error
    try:
        if path.suffix.lower() in {".yaml", ".yml"}:
            return yaml.load(text, Loader=_ExactLoader)  # noqa: S506 (a subclass of SafeLoader)
        return json.loads(text, parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_unique)
    except (ValueError, yaml.YAMLError) as error:
        raise PriceError(f"{path}: is not valid {path.suffix.lstrip('.') or 'JSON'}: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return fields


class _ExactLoader(yaml.SafeLoader):
    """Keeps decimals as they were written and refuses keys that stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _decimal(loader: _ExactLoader, node: yaml.ScalarNode) -> Decimal | str:
    text = str(loader.construct_scalar(node)).replace("_", "")
    try:
        return Decimal(text)
    except InvalidOperation:
        return text  # .inf and sexagesimals: refused as rates, harmless as remarks


_ExactLoader.add_constructor("tag:yaml.org,2002:float", _decimal)
