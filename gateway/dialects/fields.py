"""What may stand in a field of a request: a check, the words for a refusal, and the same as JSON Schema.

One table a dialect says all three, so that what is refused, what is told and what is documented cannot drift apart.
Knows JSON. Knows no field's name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import InvalidRequest

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """fits : whether a value (never null) is of this kind.   right : what would be.   schema : as JSON Schema."""

    fits: Callable[[Any], bool]
    right: str
    schema: Mapping[str, Any]


def is_int(value: Any) -> bool:
    """An integer, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_objects(value: Any) -> bool:
    """A list of objects."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def is_typed(value: Any) -> bool:
    """An object with a ``type`` that is a string."""
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def _is_strings(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


def between(least: int, most: int | None = None) -> Kind:
    """An integer within bounds, both included."""
    words = f"an integer of at least {least}" if most is None else f"an integer from {least} to {most}"
    schema: Json = {"type": "integer", "minimum": least} | ({} if most is None else {"maximum": most})
    return Kind(
        fits=lambda value: is_int(value) and value >= least and (most is None or value <= most),
        right=words,
        schema=schema,
    )


def word_of(*words: str) -> Kind:
    """One of some words."""
    return Kind(
        fits=lambda value: isinstance(value, str) and value in words,
        right=f"one of {', '.join(words)}",
        schema={"type": "string", "enum": list(words)},
    )


_TYPED = {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]}

INTEGER = Kind(fits=is_int, right="an integer", schema={"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1})
POSITIVE = between(1)
NUMBER = Kind(
    fits=lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    right="a number",
    schema={"type": "number"},
)
BOOLEAN = Kind(fits=lambda value: isinstance(value, bool), right="true or false", schema={"type": "boolean"})
STRING = Kind(fits=lambda value: isinstance(value, str), right="a string", schema={"type": "string"})
OBJECT = Kind(fits=lambda value: isinstance(value, dict), right="an object", schema={"type": "object"})
STRINGS = Kind(
    fits=_is_strings,
    right="a string or a list of strings",
    schema={"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
)
LIST_OF_STRINGS = Kind(
    fits=lambda value: isinstance(value, list) and _is_strings(value),
    right="a list of strings",
    schema={"type": "array", "items": {"type": "string"}},
)
TYPED = Kind(fits=is_typed, right="an object with a type", schema=_TYPED)
TYPED_LIST = Kind(
    fits=lambda value: is_objects(value) and all(map(is_typed, value)),
    right="a list of objects with a type",
    schema={"type": "array", "items": _TYPED},
)
WORD_OR_OBJECT = Kind(
    fits=lambda value: isinstance(value, str | dict),
    right="a string or an object",
    schema={"anyOf": [{"type": "string"}, {"type": "object"}]},
)


def read_object(raw: bytes, least: str) -> Json:
    """The JSON object in a body. least : the fields that it has at least. Raises InvalidRequest."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The body is not valid JSON: {error.msg.split(':')[0]}, at {place}.") from None
    if not isinstance(body, dict):
        raise InvalidRequest(f"The body must be a JSON object with at least the fields {least}.")
    return body


def check(body: Mapping[str, Any], fields: Mapping[str, Kind], where: str = "") -> None:
    """Raises InvalidRequest naming the first field that is there, is not null and is not of its kind."""
    for name, kind in fields.items():
        if body.get(name) is not None and not kind.fits(body[name]):
            raise wrong(where + name, f"must be {kind.right}")


def model_of(body: Mapping[str, Any]) -> str:
    """The ``model`` asked for. Raises InvalidRequest."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise wrong("model", "is required: the name of a model, or auto")
    return model


def wrong(name: str, what: str) -> InvalidRequest:
    """The refusal of a field."""
    return InvalidRequest(f"{name} {what}.", param=name, code="invalid_parameter")


def unsupported(name: str, why: str) -> InvalidRequest:
    """The refusal of a field that means something which no model behind this gateway can be told."""
    return InvalidRequest(f"{name} {why}.", param=name, code="unsupported_parameter")
