"""OpenAI's Responses API: the event stream of one response.

Knows the order of its events and numbers them. Knows no timing: see ``gateway/routes/stream.py``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.dialects.errors import openai_error
from gateway.dialects.responses.answer import Echo, finished, frame, item_of, part_of
from gateway.dialects.segments import Segment, Segmenter, Step, first_choices, steps_of
from gateway.dialects.sse import COMMENT, event
from gateway.errors import RequestError
from gateway.exchange import Completion, Decision

Json = dict[str, Any]
_SAYING = {
    "text": "response.output_text",
    "refusal": "response.refusal",
    "reasoning": "response.reasoning_text",
    "tool": "response.function_call_arguments",
    "custom_tool": "response.custom_tool_call_input",
}
_WHOLE = {
    "text": "text", "refusal": "refusal", "reasoning": "text", "tool": "arguments", "custom_tool": "input"
}  # fmt: skip


class ResponseWriter:
    """created, in_progress, then each item added, said and done, then completed or incomplete (or failed)."""

    keep_alive = COMMENT

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._segmenter = Segmenter()
        self._decision: Decision | None = None
        self._number = -1
        self._output: list[Json] = []

    def begin(self, decision: Decision, announced: Mapping[str, Any] | None) -> bytes:
        """The response is created; what is announced travels in a field ``spillway`` of the first event."""
        self._decision = decision
        told = frame(decision, self._echo, "in_progress")
        more = {} if announced is None else {"spillway": announced}
        created = self._event("response.created", response=told, **more)
        return created + self._event("response.in_progress", response=told)

    def live(self, chunk: Mapping[str, Any]) -> bytes:
        """A chunk of the answer."""
        steps = (step for choice in first_choices([chunk]) for step in self._segmenter.feed(choice))
        return b"".join(self._events(steps))

    def end(self, completion: Completion) -> bytes:
        """The rest, and the whole response."""
        steps = self._segmenter.finish() if completion.live else steps_of(completion.body, self._segmenter)
        pieces = list(self._events(steps))
        response = finished(completion, self._echo, self._output)
        return b"".join([*pieces, self._event(f"response.{response['status']}", response=response)])

    def fail(self, error: RequestError) -> bytes:
        """An error event, on which OpenAI's clients raise, after the response is said to have failed."""
        told = {"code": error.code or "server_error", "message": error.message}
        failed = b""
        if self._decision is not None:
            response = frame(self._decision, self._echo, "failed") | {"output": self._output, "error": told}
            failed = self._event("response.failed", response=response)
        return failed + self._event("error", **told, param=error.param, **openai_error(error))

    def _events(self, steps: Iterable[Step]) -> Iterator[bytes]:
        for step in steps:
            if step.event == "open":
                yield from self._opened(step.segment)
            elif step.event == "say":
                yield from self._said(step)
            else:
                yield from self._closed(step.segment)

    def _opened(self, segment: Segment) -> Iterator[bytes]:
        empty = replace(segment, text="", logprobs=[])
        item = self._item(empty, "in_progress")
        if item["type"] in ("message", "reasoning"):
            item["content"] = []
        yield self._event("response.output_item.added", output_index=len(self._output), item=item)
        if item["type"] == "message":
            yield self._at(empty, "response.content_part.added", content_index=0, part=part_of(empty))

    def _said(self, step: Step) -> Iterator[bytes]:
        kind = step.segment.kind
        if kind not in _SAYING or not step.said:
            return
        more = {"logprobs": list(step.logprobs)} if kind == "text" else {}
        yield self._at(step.segment, f"{_SAYING[kind]}.delta", **_within(kind), delta=step.said, **more)

    def _closed(self, segment: Segment) -> Iterator[bytes]:
        kind = segment.kind
        item = self._item(segment)
        if kind in _SAYING:
            more: Json = {"logprobs": list(segment.logprobs)} if kind == "text" else {}
            more |= {"name": segment.name} if kind == "tool" else {}
            whole = {_WHOLE[kind]: segment.text}
            yield self._at(segment, f"{_SAYING[kind]}.done", **_within(kind), **whole, **more)
        if item["type"] == "message":
            yield self._at(segment, "response.content_part.done", content_index=0, part=part_of(segment))
        yield self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)

    def _item(self, segment: Segment, status: str = "completed") -> Json:
        assert self._decision is not None  # noqa: S101 (a stream begins before it says anything)
        return item_of(self._decision, len(self._output), segment, status)

    def _at(self, segment: Segment, kind: str, /, **fields: Any) -> bytes:
        return self._event(kind, item_id=self._item(segment)["id"], output_index=len(self._output), **fields)

    def _event(self, kind: str, /, **fields: Any) -> bytes:
        self._number += 1
        return event({"type": kind, "sequence_number": self._number, **fields}, kind)


def _within(kind: str) -> Json:
    return {"content_index": 0} if kind in ("text", "refusal", "reasoning") else {}
