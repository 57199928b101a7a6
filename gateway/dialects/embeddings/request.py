"""OpenAI's embeddings: texts to vectors, on the way of completions, so that ledger, limits and retries hold for them.

Knows its fields. Fields that are unknown here pass through to the model.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.chat.answer import cost_usd
from gateway.dialects.dialect import Asked, Dialect, StreamWriter
from gateway.dialects.fields import POSITIVE, STRING, Kind, check, is_int, model_of, read_object, word_of, wrong
from gateway.errors import InternalError
from gateway.exchange import ChatRequest, Completion, Decision
from scorer.answer import Query

PATH = "/v1/embeddings"
FIELDS: Mapping[str, Kind] = {
    "dimensions": POSITIVE,
    "encoding_format": word_of("float", "base64"),
    "user": STRING,
}
_MOST_INPUTS = 2048


def parse(raw: bytes, decision_id: str) -> Asked:
    """An embeddings request. Raises InvalidRequest naming the field at fault."""
    body = read_object(raw, "model and input")
    model = model_of(body)
    check(body, FIELDS)
    if not _is_input(body.get("input")):
        raise wrong(
            "input", f"is required: a text, a list of token ids, or a list of at most {_MOST_INPUTS} of the same kind"
        )
    request = ChatRequest(
        query=Query(id=decision_id, messages=()),
        model=model,
        body={name: value for name, value in body.items() if name not in ("model", "stream") and value is not None},
        endpoint=PATH,
    )
    return Asked(request=request, render=render, writer=_no_stream)


EMBEDDINGS = Dialect(path=PATH, parse=parse)


def render(completion: Completion) -> dict[str, Any]:
    """The embeddings object."""
    decision: Decision = completion.decision
    counted = 0 if completion.usage is None else completion.usage.prompt_tokens
    return {
        "object": "list",
        "data": completion.body["data"],
        "model": decision.model,
        "usage": {"prompt_tokens": counted, "total_tokens": counted, "cost": cost_usd(completion)},
    }


def _is_input(value: Any) -> bool:
    if isinstance(value, str):
        return value != ""
    if not isinstance(value, list) or not len(value) >= 1:
        return False
    if _are_tokens(value):
        return True
    if len(value) > _MOST_INPUTS:
        return False
    return all(isinstance(item, str) and item for item in value) or all(
        isinstance(item, list) and item and _are_tokens(item) for item in value
    )


def _are_tokens(value: list[Any]) -> bool:
    return all(is_int(item) and item >= 0 for item in value)


def _no_stream() -> StreamWriter:
    raise InternalError("Vectors are not streamed.")
