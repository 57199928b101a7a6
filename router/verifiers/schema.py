"""Is an answer JSON of a schema: of one that is given, or of the one that the request asks for?

Knows JSON Schema. References lead nowhere but into the schema itself, and patterns have only so much time.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import exceptions, validators
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from router.errors import VerifierError
from router.verifiers.pattern import found_in
from router.verifiers.verifier import Consult, Finding, abstain
from scorer.answer import Answer, Query

_LONGEST = 1_000_000
_NOTHING: Registry[Any] = Registry()


class SchemaVerifier:
    """schema : None takes the request's ``response_format``; without one there is nothing to say."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self._schema = schema
        if schema is not None:
            _checked(schema)

    async def verify(self, query: Query, answer: Answer, consult: Consult) -> Finding:
        """Whether the text is JSON that the schema takes."""
        schema = self._schema if self._schema is not None else asked_for(query)
        if schema is None:
            return abstain("the request asks for no JSON")
        if not answer.text and answer.tool_calls:
            return abstain("the answer is a tool call")
        if len(answer.text) > _LONGEST:
            return abstain(f"longer than {_LONGEST} characters")
        return await asyncio.to_thread(_judged, schema, answer.text)


def asked_for(query: Query) -> Mapping[str, Any] | None:
    """The schema of a request's response format; the empty one, which takes any object, for plain JSON."""
    asked = query.response_format or {}
    if asked.get("type") == "json_object":
        return {"type": "object"}
    inner = asked.get("json_schema") if asked.get("type") == "json_schema" else None
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def _judged(schema: Mapping[str, Any], text: str) -> Finding:
    try:
        value = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return Finding(said="fail", reason="it is not JSON")
    try:
        error = next(_checked(schema).iter_errors(value), None)
    except (VerifierError, Unresolvable, RecursionError, TimeoutError) as cause:
        return abstain(f"the schema cannot be applied: {type(cause).__name__}")
    if error is None:
        return Finding(said="pass")
    where = "/".join(map(str, error.absolute_path))
    return Finding(said="fail", reason=f"{error.validator} is not kept at /{where}"[:200])


def _refused(name: str) -> None:
    raise ValueError(name)


def _checked(schema: Mapping[str, Any]) -> Validator:
    """Raises VerifierError for what is no schema."""
    base = validators.validator_for(schema, default=validators.Draft202012Validator)
    bounded = validators.extend(base, {"pattern": _pattern, "patternProperties": _pattern_properties})
    try:
        base.check_schema(schema)
    except (exceptions.SchemaError, RecursionError) as error:
        raise VerifierError(f"is no JSON schema: {getattr(error, 'message', type(error).__name__)}") from error
    validator: Validator = bounded(schema, registry=_NOTHING)
    return validator


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[exceptions.ValidationError]:
    if isinstance(value, str) and not found_in(pattern, value):
        yield exceptions.ValidationError("does not match")


def _pattern_properties(validator: Any, patterns: Any, value: Any, _schema: Any) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    for pattern, schema in patterns.items():
        for name, inner in value.items():
            if found_in(pattern, name):
                yield from validator.descend(inner, schema, path=name, schema_path=pattern)
