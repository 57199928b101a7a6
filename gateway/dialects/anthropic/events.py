"""Anthropic's Messages API: the event stream of one message.

Knows the order of its events. Knows no timing: see ``gateway/routes/stream.py``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.dialects.anthropic.answer import block_of, first_choice, frame, stopped, usage_of
from gateway.dialects.chat.answer import cost_usd
from gateway.dialects.errors import anthropic_error
from gateway.dialects.segments import Segmenter, Step, first_choices, steps_of
from gateway.dialects.sse import event
from gateway.errors import RequestError
from gateway.exchange import Completion, Decision
from scorer.answer import Usage

_PING = event({"type": "ping"}, "ping")


class MessageWriter:
    """message_start, then each block started, said and stopped, then message_delta with the counts and message_stop.

    The first event waits for the first word, since only then may it be known what the prompt counted. Where it is not,
    an estimate is told, and the count in message_delta.
    """

    keep_alive = _PING

    def __init__(self, stop_sequences: Sequence[str], prompt_tokens: int = 0) -> None:
        """prompt_tokens : about how many; told where a stream begins before its upstream has counted."""
        self._stop_sequences, self._about = stop_sequences, prompt_tokens
        self._segmenter = Segmenter()
        self._frame: dict[str, Any] = {}
        self._announcement: dict[str, Any] = {}
        self._id = ""
        self._started = self._refused = False
        self._block = -1

    def begin(self, decision: Decision, announced: Mapping[str, Any] | None) -> bytes:
        """Nothing is said yet: message_start carries what is announced, in a field ``spillway``."""
        self._id, self._frame = decision.id, frame(decision)
        self._announcement = {} if announced is None else {"spillway": announced}
        return b""

    def live(self, chunk: Mapping[str, Any]) -> bytes:
        """A chunk of the answer."""
        steps = [step for choice in first_choices([chunk]) for step in self._segmenter.feed(choice)]
        return self._start(None) + b"".join(self._events(steps))

    def end(self, completion: Completion) -> bytes:
        """The rest, the counts, the end."""
        steps = self._segmenter.finish() if completion.live else steps_of(completion.body, self._segmenter)
        pieces = [self._start(completion.usage), *self._events(steps)]
        choice = first_choice(completion.body)
        delta = {
            "type": "message_delta",
            "delta": stopped(choice, self._stop_sequences, refused=self._refused),
            "usage": usage_of(completion.usage) | {"cost": cost_usd(completion)},
        }
        return b"".join([*pieces, _named(delta), _named({"type": "message_stop"})])

    def fail(self, error: RequestError) -> bytes:
        """An error event, on which Anthropic's clients raise."""
        return _named(anthropic_error(error, self._id or "unknown"))

    def _start(self, usage: Usage | None) -> bytes:
        if self._started:
            return b""
        self._started = True
        counted = usage_of(usage or Usage(prompt_tokens=self._about, completion_tokens=0)) | {"output_tokens": 0}
        message = self._frame | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": counted}
        return _named({"type": "message_start", "message": message | self._announcement}) + _PING

    def _events(self, steps: Iterator[Step] | Sequence[Step]) -> Iterator[bytes]:
        for step in steps:
            segment = step.segment
            if step.event == "open":
                self._block += 1
                self._refused = self._refused or segment.kind == "refusal"
                if segment.kind != "redacted":
                    yield self._at_block("content_block_start", content_block=_empty(block_of(segment)))
            elif step.event == "say":
                for delta in _deltas(step):
                    yield self._at_block("content_block_delta", delta=delta)
            else:
                if segment.kind == "redacted":  # comes in one piece
                    yield self._at_block("content_block_start", content_block=block_of(segment))
                yield self._at_block("content_block_stop")

    def _at_block(self, kind: str, **fields: Any) -> bytes:
        return _named({"type": kind, "index": self._block, **fields})


def _deltas(step: Step) -> Iterator[dict[str, Any]]:
    match step.segment.kind:
        case "reasoning":
            if step.said:
                yield {"type": "thinking_delta", "thinking": step.said}
            if step.signed:
                yield {"type": "signature_delta", "signature": step.signed}
        case "tool":
            yield {"type": "input_json_delta", "partial_json": step.said}
        case "redacted":
            return
        case _:
            yield {"type": "text_delta", "text": step.said}


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    """A block as it starts: its identity, nothing said."""
    said = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {name: said.get(name, value) for name, value in block.items()}


def _named(body: Mapping[str, Any]) -> bytes:
    return event(body, str(body["type"]))
