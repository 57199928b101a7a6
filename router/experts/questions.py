"""What an endpoint is asked to find out what it can do, and what its answers show.

A 200 proves nothing: some servers silently leave out log-probabilities, schemas or choices that they were asked for. So
each question is one whose answer differs where the server did as it was told. Knows wire formats; calls nobody.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
import orjson

from router.backends.backend import Chunk, Reply
from router.experts.findings import Ability, Finding
from router.streaming import said

Json = dict[str, Any]
_LIMIT = 8
_SCHEMA: Json = {
    "type": "object",
    "properties": {"spillway_probe": {"type": "integer", "enum": [7]}},  # a weak model ends nothing by itself
    "required": ["spillway_probe"],
    "additionalProperties": False,
}
_TOOL: Json = {"name": "spillway_probe", "description": "Reports a number.", "parameters": _SCHEMA}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """abilities : what it is about, which is all that can be said where it was refused or failed.

    judge : of the reply and, if it is streamed, of its chunks.
    """

    abilities: tuple[Ability, ...]
    body: Json
    judge: Callable[[Reply, Sequence[Chunk]], Iterator[Finding]]
    streamed: bool = False


def _asked(text: str, **fields: Any) -> Json:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": _LIMIT, **fields}


def _choices(reply: Reply) -> list[Mapping[str, Any]]:
    return [choice for choice in reply.body.get("choices") or () if isinstance(choice, Mapping)]


def _plain(reply: Reply, _: Sequence[Chunk]) -> Iterator[Finding]:
    usage = reply.usage
    if usage is None:
        yield Finding(ability="usage", verdict="no", detail="an answer came without counts")
    else:
        yield Finding(ability="usage", verdict="yes")
    words, made = len(reply.answer.text.split()), 0 if usage is None else usage.completion_tokens
    if max(words, made) > _LIMIT + 1:  # some count the end as one; and a word has a token at least
        said = f"max_tokens was {_LIMIT}, and it made {max(words, made)}: what a call costs at most cannot be proven"
        yield Finding(ability="output_limit", verdict="no", detail=said)
    elif usage is None:
        yield Finding(ability="output_limit", verdict="unknown", detail="nobody tells how many tokens it made")
    else:
        yield Finding(ability="output_limit", verdict="yes")


def _weighed(reply: Reply, _: Sequence[Chunk]) -> Iterator[Finding]:
    made = None if reply.usage is None else reply.usage.completion_tokens
    yield _judged_logprobs(_logprobs(_choices(reply)[0]), made)


def _logprobs(choice: Mapping[str, Any]) -> list[float]:
    told = choice.get("logprobs")
    content = told.get("content") if isinstance(told, Mapping) else None
    values = [part.get("logprob") for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    return [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def _judged_logprobs(told: Sequence[float], made: int | None) -> Finding:
    if not told:
        return Finding(ability="logprobs", verdict="no", detail="none came")
    if not all(math.isfinite(value) and value <= 0 for value in told):
        return Finding(ability="logprobs", verdict="no", detail="what came is above 0 or no number")
    if len(set(told)) == 1 and len(told) > 2:
        return Finding(ability="logprobs", verdict="no", detail="all tokens have the same one")
    if made is not None and len(told) < made - 1:  # the end has none
        return Finding(ability="logprobs", verdict="no", detail=f"{len(told)} of {made} tokens have one")
    return Finding(ability="logprobs", verdict="yes")


def _several(reply: Reply, _: Sequence[Chunk]) -> Iterator[Finding]:
    count = len(_choices(reply))
    yield Finding(
        ability="n", verdict="yes" if count == 2 else "no", detail="" if count == 2 else f"2, and {count} came"
    )


def _shaped(reply: Reply, _: Sequence[Chunk]) -> Iterator[Finding]:
    choice = _choices(reply)[0]
    try:
        jsonschema.validate(orjson.loads(reply.answer.text), _SCHEMA)
    except (orjson.JSONDecodeError, jsonschema.ValidationError):
        if choice.get("finish_reason") == "length" and reply.answer.text.lstrip()[:1] in ("{", ""):
            yield Finding(
                ability="json_schema", verdict="unknown", detail="the answer was cut off before its JSON ended"
            )
        else:
            yield Finding(ability="json_schema", verdict="no", detail="the answer does not fit the schema")
    else:
        yield Finding(ability="json_schema", verdict="yes")


def _called(reply: Reply, _: Sequence[Chunk]) -> Iterator[Finding]:
    for call in reply.answer.tool_calls:
        function = call.get("function")
        try:
            if isinstance(function, Mapping) and function.get("name") == _TOOL["name"]:
                jsonschema.validate(orjson.loads(function.get("arguments") or ""), _SCHEMA)
                yield Finding(ability="tools", verdict="yes")
                return
        except (orjson.JSONDecodeError, TypeError, jsonschema.ValidationError):
            yield Finding(ability="tools", verdict="no", detail="the call's arguments do not fit the tool")
            return
    text = reply.answer.text
    if _choices(reply)[0].get("finish_reason") == "length" and (_TOOL["name"] in text or not text.strip()):
        yield Finding(ability="tools", verdict="unknown", detail="the answer was cut off before its call ended")
    else:
        yield Finding(ability="tools", verdict="no", detail="a call was required, and none came")


def _streamed(reply: Reply, chunks: Sequence[Chunk]) -> Iterator[Finding]:
    made = None if reply.usage is None else reply.usage.completion_tokens
    if sum(bool(said(chunk.body or {})) for chunk in chunks) > 1:
        yield Finding(ability="stream", verdict="yes")
    elif made is not None and made <= 2:  # the end is one, too
        yield Finding(ability="stream", verdict="unknown", detail="the answer is too short to come in pieces")
    else:
        yield Finding(ability="stream", verdict="no", detail="the answer came in one piece")
    if reply.usage is None:
        yield Finding(ability="stream_usage", verdict="no", detail="a stream came without counts")
    else:
        yield Finding(ability="stream_usage", verdict="yes")


_COUNT = "Count from one to one hundred in words."
QUESTIONS: tuple[Question, ...] = (
    Question(abilities=("usage", "output_limit"), body=_asked(_COUNT, temperature=0), judge=_plain),
    Question(
        abilities=("logprobs",),
        body=_asked(_COUNT, logprobs=True, top_logprobs=2, temperature=1),
        judge=_weighed,
    ),
    Question(abilities=("n",), body=_asked("Name a colour.", n=2, temperature=1), judge=_several),
    Question(
        abilities=("json_schema",),
        body=_asked("Say hello to me in one sentence.", temperature=0)
        | {
            "max_tokens": 64,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "spillway_probe", "schema": _SCHEMA, "strict": True},
            },
        },
        judge=_shaped,
    ),
    Question(
        abilities=("tools",),
        body=_asked("Report the number seven.", temperature=0)
        | {"max_tokens": 64, "tools": [{"type": "function", "function": _TOOL}], "tool_choice": "required"},
        judge=_called,
    ),
    Question(abilities=("stream", "stream_usage"), body=_asked(_COUNT, temperature=0), judge=_streamed, streamed=True),
)
