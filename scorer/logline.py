"""One line of a log: its fields, what each must be, and the hash by which its query is recognised again.

Knows the fields of a line. Knows no file, no feature and no model.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard, get_args

import orjson

from scorer.answer import Answer, Message, Query, Usage, UsageSource
from scorer.errors import BadLogLine

SOURCES = ("check", "feedback", "review", "judge", "agreement")
"""Of labels, the strongest first. check: against a reference, or by running something.   feedback: of the user.
review: by a person.   judge: a model's, asked twice, with the answers in either order.   agreement: with others."""

UNNAMED = "unnamed"
_JUDGE = "judge"
_LOGPROB_ROUNDING = 1e-3  # backends return sums of floats: a certain token may come out a hair above 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedProposal:
    """A call that an answer was made of. model : the sample's name; its text, if kept, is the line's answer of it."""

    model: str
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAnswer:
    """An answer as it was logged, what it took, and how good it was."""

    answer: Answer
    usage: Usage
    quality: float  # 0 … 1
    latency_s: float | None = None
    qualities: Mapping[str, float] = field(default_factory=dict)  # by source, where sources are named
    proposals: tuple[LoggedProposal, ...] = ()  # of a mixture: whatever was paid for besides


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedQuery:
    """A query with the answers of several models, or with their labels alone."""

    dataset: str
    query: Query
    split: str | None = None
    group: str | None = None  # conversation: queries of one group never stand on both sides of a fold
    reference: str | None = None
    answers: Mapping[str, LoggedAnswer] = field(default_factory=dict)  # by model; empty where only labels were logged
    labels: Mapping[str, float] = field(default_factory=dict)  # quality by model, for every model of the line
    hash: str = field(init=False)  # see query_hash

    def __post_init__(self) -> None:
        query = self.query
        object.__setattr__(self, "hash", query_hash(query.messages, query.tools, query.response_format))

    @property
    def qualities(self) -> Mapping[str, Mapping[str, float]]:
        """By model and source (see ``scorer.labels``), where there are answers; else the labels, of no named source."""
        given = {model: logged.qualities for model, logged in self.answers.items() if logged.qualities}
        return {model: given.get(model, {UNNAMED: label}) for model, label in self.labels.items()}

    @property
    def sources(self) -> frozenset[str]:
        """Every source of a label."""
        return frozenset(source for qualities in self.qualities.values() for source in qualities)


def query_hash(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] = (),
    response_format: Mapping[str, Any] | None = None,
) -> str:
    """sha256 (hex) of what is asked, whoever answers: equal for equal JSON, whatever the order of its keys."""
    asked = {
        "messages": list(messages),
        "tools": list(tools),
        "response_format": None if response_format is None else response_format,
    }
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def parse_line(line: bytes, path: str, number: int) -> LoggedQuery:
    """Read and check one line. Raises BadLogLine, naming the field and what would be right."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLogLine(path, number, f"not JSON ({error}); one JSON object a line is expected") from error
    try:
        return _query(_Fields(row, ""))
    except _Wrong as wrong:
        raise BadLogLine(path, number, str(wrong)) from wrong


def line_of(query: LoggedQuery) -> dict[str, Any]:
    """The JSON object that ``parse_line`` reads back as an equal query."""
    row: dict[str, Any] = {
        "dataset": query.dataset,
        "query_id": query.query.id,
        "split": query.split,
        "task": query.query.task,
        "messages": list(query.query.messages),
        "reference": query.reference,
    }
    optional = {
        "group": query.group,
        "tools": list(query.query.tools) or None,
        "response_format": query.query.response_format,
    }
    row |= {key: value for key, value in optional.items() if value is not None}
    if query.answers:
        row["answers"] = {model: _answer_of(answer) for model, answer in query.answers.items()}
    else:
        row["labels"] = dict(query.labels)
    return row


def _answer_of(logged: LoggedAnswer) -> dict[str, Any]:
    answer = logged.answer
    optional = {
        "tool_calls": list(answer.tool_calls) or None,
        "finish_reason": answer.finish_reason,
        "token_logprobs": None if answer.token_logprobs is None else list(answer.token_logprobs),
        "latency_s": logged.latency_s,
        "proposals": [{"model": one.model, **_counts_of(one.usage)} for one in logged.proposals] or None,
    }
    return {
        "text": answer.text,
        "quality": {source: [said, said] if source == _JUDGE else said for source, said in logged.qualities.items()}
        or logged.quality,
        **_counts_of(logged.usage),
    } | {key: value for key, value in optional.items() if value is not None}


def _counts_of(usage: Usage) -> dict[str, Any]:
    optional = {
        "cached_prompt_tokens": usage.cached_prompt_tokens or None,
        "cache_write_tokens": usage.cache_write_tokens or None,
        "reasoning_tokens": usage.reasoning_tokens or None,
        "usage_source": None if usage.source == "provider" else usage.source,
    }
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens} | {
        key: value for key, value in optional.items() if value is not None
    }


class _Wrong(Exception):
    """A field is missing or is not what it must be."""


class _Fields:
    """The fields of one JSON object, each taken with a check; errors name the full path of the field."""

    def __init__(self, value: object, path: str) -> None:
        self.path = path
        if not isinstance(value, dict):
            raise self.wrong("", "an object", value)
        self.value: dict[str, Any] = value

    def wrong(self, key: str, expected: str, found: object) -> _Wrong:
        where = ".".join(part for part in (self.path, key) if part) or "the line"
        return _Wrong(f"{where} must be {expected}, not {_shown(found)}")

    def text(self, key: str) -> str:
        value = self.value.get(key)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a non-empty string", value)
        return value

    def text_or_none(self, key: str) -> str | None:
        value = self.value.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, "a string or null", value)
        return value

    def count(self, key: str, default: int | None = None) -> int:
        value = self.value.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.wrong(key, "an integer ≥ 0", value)
        return value

    def share(self, key: str) -> float:
        value = self.value.get(key)
        if not _is_number(value) or not 0 <= value <= 1:
            raise self.wrong(key, "a number from 0 to 1", value)
        return float(value)

    def seconds(self, key: str) -> float | None:
        value = self.value.get(key)
        if value is None:
            return None
        if not _is_number(value) or value < 0:
            raise self.wrong(key, "a number ≥ 0 or null", value)
        return float(value)

    def objects(self, key: str, *, required: bool = False) -> tuple[Mapping[str, Any], ...]:
        value = self.value.get(key)
        if value is None and not required:
            return ()
        if not isinstance(value, list) or (required and not value):
            raise self.wrong(key, "a non-empty list of objects" if required else "a list of objects", value)
        return tuple(_Fields(entry, f"{self.prefix(key)}[{index}]").value for index, entry in enumerate(value))

    def table(self, key: str) -> Mapping[str, Any]:
        value = _Fields(self.value.get(key), self.prefix(key)).value
        if not value or "" in value:
            raise self.wrong(key, "an object with one entry for each model, by its name", value)
        return value

    def prefix(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def _query(fields: _Fields) -> LoggedQuery:
    response_format = fields.value.get("response_format")
    if response_format is not None:
        response_format = _Fields(response_format, "response_format").value
    query = Query(
        id=fields.text("query_id"),
        messages=_messages(fields),
        tools=fields.objects("tools"),
        response_format=response_format,
        task=fields.text_or_none("task"),
    )
    if ("answers" in fields.value) == ("labels" in fields.value):
        raise _Wrong("exactly one of answers (with texts) and labels (quality alone) must be there")
    answers: dict[str, LoggedAnswer] = {}
    if "answers" in fields.value:
        table = fields.table("answers")
        answers = {model: _answer(_Fields(entry, f"answers.{model}"), model) for model, entry in table.items()}
        labels = {model: logged.quality for model, logged in answers.items()}
    else:
        entries = _Fields(fields.table("labels"), "labels")
        labels = {model: entries.share(model) for model in entries.value}
    return LoggedQuery(
        dataset=fields.text("dataset"),
        query=query,
        split=fields.text_or_none("split"),
        group=fields.text_or_none("group"),
        reference=fields.text_or_none("reference"),
        answers=answers,
        labels=labels,
    )


def _messages(fields: _Fields) -> tuple[Message, ...]:
    messages = fields.objects("messages", required=True)
    for index, message in enumerate(messages):
        entry = _Fields(message, f"messages[{index}]")
        entry.text("role")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            raise entry.wrong("content", "a string, a list of parts or null", content)
    return messages


def _answer(fields: _Fields, model: str) -> LoggedAnswer:
    tool_calls = fields.objects("tool_calls")
    text = fields.text_or_none("text")
    if text is None and not tool_calls:
        raise fields.wrong("text", "a string (null only beside tool_calls)", text)
    usage = _usage(fields)
    answer = Answer(
        model=model,
        text=text or "",
        tool_calls=tool_calls,
        finish_reason=fields.text_or_none("finish_reason"),
        token_logprobs=_logprobs(fields),
    )
    qualities = _qualities(fields)
    return LoggedAnswer(
        answer=answer,
        usage=usage,
        quality=next(iter(qualities.values())) if qualities else fields.share("quality"),
        latency_s=fields.seconds("latency_s"),
        qualities=qualities,
        proposals=tuple(_proposals(fields)),
    )


def _usage(fields: _Fields) -> Usage:
    source = fields.value.get("usage_source", "provider")
    if source not in get_args(UsageSource):
        raise fields.wrong("usage_source", f"one of {', '.join(get_args(UsageSource))}", source)
    usage = Usage(
        prompt_tokens=fields.count("prompt_tokens"),
        completion_tokens=fields.count("completion_tokens"),
        cached_prompt_tokens=fields.count("cached_prompt_tokens", 0),
        cache_write_tokens=fields.count("cache_write_tokens", 0),
        reasoning_tokens=fields.count("reasoning_tokens", 0),
        source=source,
    )
    if usage.cached_prompt_tokens > usage.prompt_tokens:
        raise fields.wrong("cached_prompt_tokens", "at most prompt_tokens", usage.cached_prompt_tokens)
    if usage.reasoning_tokens > usage.completion_tokens:
        raise fields.wrong("reasoning_tokens", "at most completion_tokens", usage.reasoning_tokens)
    return usage


def _proposals(fields: _Fields) -> Iterator[LoggedProposal]:
    for index, entry in enumerate(fields.objects("proposals")):
        told = _Fields(entry, f"{fields.prefix('proposals')}[{index}]")
        yield LoggedProposal(model=told.text("model"), usage=_usage(told))


def _qualities(fields: _Fields) -> dict[str, float]:
    """By source, the strongest first; none where the quality is a bare number."""
    if not isinstance(fields.value.get("quality"), dict):
        return {}
    given = _Fields(fields.table("quality"), fields.prefix("quality"))
    for source in given.value:
        if source not in SOURCES:
            raise given.wrong(source, f"left out, or be called one of {', '.join(SOURCES)}", given.value[source])
    return {s: _judged(given) if s == _JUDGE else given.share(s) for s in SOURCES if s in given.value}


def _judged(fields: _Fields) -> float:
    """A judge prefers what it sees first, or last: what counts is the mean of both orders."""
    value = fields.value[_JUDGE]
    if not isinstance(value, list) or len(value) != 2 or not all(_is_number(v) and 0 <= v <= 1 for v in value):
        raise fields.wrong(_JUDGE, "two numbers from 0 to 1: with the answer shown first, and shown last", value)
    return float(value[0] + value[1]) / 2


def _logprobs(fields: _Fields) -> tuple[float, ...] | None:
    value = fields.value.get("token_logprobs")
    if value is None:
        return None
    if not isinstance(value, list):
        raise fields.wrong("token_logprobs", "a list of numbers ≤ 0 or null", value)
    for index, entry in enumerate(value):
        if not _is_number(entry) or entry > _LOGPROB_ROUNDING:
            raise fields.wrong(f"token_logprobs[{index}]", "a natural log-probability (a number ≤ 0)", entry)
    return tuple(min(float(entry), 0.0) for entry in value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
