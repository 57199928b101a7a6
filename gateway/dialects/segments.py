"""A chat answer as a sequence of segments: reasoning, text, refusal, tool calls, each opened, said and closed in turn.

Chat deltas may come mixed; the other dialects say one thing after another. What cannot be said yet is held until the
tool call under way is complete. Knows chat chunks. Knows no dialect.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from router.ids import new_id
from router.streaming import split

Kind = Literal["reasoning", "redacted", "text", "refusal", "tool", "custom_tool"]
_TOOLS = ("tool", "custom_tool")


@dataclass(slots=True, kw_only=True)
class Segment:
    """One segment, growing while it is said.

    text : what was said; of a tool call its arguments (or input), of redacted reasoning its data.
    signature : of reasoning, where the model signs it.   id, name : of a tool call.
    """

    kind: Kind
    text: str = ""
    signature: str = ""
    id: str = ""
    name: str = ""
    logprobs: list[Any] = field(default_factory=list)
    place: int = -1  # a tool call's index among those of the answer

    @property
    def complete(self) -> bool:
        """Whether nothing more is to be expected of it. A tool call is complete once its arguments are."""
        if self.kind != "tool":
            return self.kind != "custom_tool"
        try:
            json.loads(self.text)
        except (ValueError, RecursionError):
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """segment : as it stands after the step.   said : what this step adds to its text.   signed : likewise."""

    event: Literal["open", "say", "close"]
    segment: Segment
    said: str = ""
    signed: str = ""
    logprobs: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bit:
    kind: Kind
    text: str = ""
    signature: str = ""
    logprobs: tuple[Any, ...] = ()
    id: str = ""
    name: str = ""
    place: int = -1


class Segmenter:
    """Give it each chunk's choice with ``feed``, then call ``finish`` once."""

    def __init__(self) -> None:
        self._current: Segment | None = None
        self._later: list[_Bit] = []
        self._ids: dict[int, str] = {}  # of tool calls, by index
        self._done: set[int] = set()

    def feed(self, choice: Mapping[str, Any]) -> Iterator[Step]:
        """What can be said now."""
        for bit in self._bits(choice):
            yield from self._take(bit)
        if self._later and self._current is not None and self._current.complete:
            yield from self._again()

    def finish(self) -> Iterator[Step]:
        """What was held, and the last closing."""
        yield from self._close()
        while self._later:
            yield from self._again()
            yield from self._close()

    def _again(self) -> Iterator[Step]:
        held, self._later = self._later, []
        for bit in held:
            yield from self._take(bit)

    def _take(self, bit: _Bit) -> Iterator[Step]:
        current = self._current
        if current is None or (current.kind, current.place) != (bit.kind, bit.place) or bit.kind == "redacted":
            if bit.place in self._done and bit.kind in _TOOLS:
                return  # more of a call whose arguments were complete: there is no place for it
            if current is not None and not current.complete:
                self._later.append(bit)
                return
            yield from self._close()
            current = self._current = Segment(kind=bit.kind, id=bit.id, name=bit.name, place=bit.place)
            yield Step(event="open", segment=current)
        current.text += bit.text
        current.signature += bit.signature
        current.logprobs.extend(bit.logprobs)
        if bit.text or bit.signature:
            yield Step(event="say", segment=current, said=bit.text, signed=bit.signature, logprobs=bit.logprobs)
        if bit.signature:  # a signature is the last of its reasoning
            yield from self._close()

    def _close(self) -> Iterator[Step]:
        closed, self._current = self._current, None
        if closed is not None:
            if closed.kind in _TOOLS:
                self._done.add(closed.place)
            yield Step(event="close", segment=closed)

    def _bits(self, choice: Mapping[str, Any]) -> Iterator[_Bit]:
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            return
        yield from _reasoning(delta)
        text = _text(delta.get("content"))
        if text:
            yield _Bit(kind="text", text=text, logprobs=_logprobs(choice))
        if isinstance(delta.get("refusal"), str) and delta["refusal"]:
            yield _Bit(kind="refusal", text=delta["refusal"])
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, Mapping):
                yield self._call(call)

    def _call(self, call: Mapping[str, Any]) -> _Bit:
        place, told = call.get("index"), _word(call.get("id"))
        if not isinstance(place, int):  # some servers leave it out: a new id is a new call
            last = max(self._ids, default=-1)
            place = last if last >= 0 and told in ("", self._ids[last]) else last + 1
        custom = isinstance(call.get("custom"), Mapping)
        told_of: Any = call["custom"] if custom else call.get("function")
        says: Mapping[str, Any] = told_of if isinstance(told_of, Mapping) else {}
        known = self._ids.setdefault(place, told or new_id("call"))
        return _Bit(
            kind="custom_tool" if custom else "tool",
            text=_word(says.get("input" if custom else "arguments")),
            id=known,
            name=_word(says.get("name")),
            place=place,
        )


def segments_of(body: Mapping[str, Any]) -> list[Segment]:
    """The segments of a whole chat.completion's first choice."""
    return [step.segment for step in steps_of(body, Segmenter()) if step.event == "close"]


def steps_of(body: Mapping[str, Any], segmenter: Segmenter) -> Iterator[Step]:
    """A whole chat.completion's first choice, said from beginning to end."""
    for choice in first_choices(split(body, usage=False)):
        yield from segmenter.feed(choice)
    yield from segmenter.finish()


def first_choices(chunks: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Of each chunk the choice with index 0, where it has one: the other dialects know one answer only."""
    for chunk in chunks:
        for choice in chunk.get("choices") or ():
            if isinstance(choice, Mapping) and choice.get("index", 0) == 0:
                yield choice


def _reasoning(delta: Mapping[str, Any]) -> Iterator[_Bit]:
    blocks = delta.get("thinking_blocks")
    if isinstance(blocks, list) and blocks:  # the same words stand in reasoning_content once more
        for block in blocks:
            if not isinstance(block, Mapping):
                continue
            if block.get("type") == "redacted_thinking":
                yield _Bit(kind="redacted", text=_word(block.get("data")))
            else:
                text, signature = _word(block.get("thinking")), _word(block.get("signature"))
                if text or signature:
                    yield _Bit(kind="reasoning", text=text, signature=signature)
        return
    for name in ("reasoning_content", "reasoning"):
        if isinstance(delta.get(name), str) and delta[name]:
            yield _Bit(kind="reasoning", text=delta[name])
            return


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(_word(part.get("text")) for part in content if isinstance(part, Mapping))
    return _word(content)


def _logprobs(choice: Mapping[str, Any]) -> tuple[Any, ...]:
    told = choice.get("logprobs")
    content = told.get("content") if isinstance(told, Mapping) else None
    return tuple(content) if isinstance(content, list) else ()


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""
