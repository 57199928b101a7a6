"""OpenAI's legacy completions: the event stream of a text."""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.chat.answer import render_usage
from gateway.dialects.errors import openai_error
from gateway.dialects.legacy.answer import frame, text_choice, text_of
from gateway.dialects.sse import COMMENT, DONE, event
from gateway.errors import RequestError
from gateway.exchange import Completion, Decision
from router.streaming import split


class TextWriter:
    """Text pieces, the usage if it was asked for, the terminator. echo : the prompt, to be said first."""

    keep_alive = COMMENT

    def __init__(self, echo: str, *, include_usage: bool) -> None:
        self._echo, self._include_usage = echo, include_usage
        self._frame: dict[str, Any] = {}
        self._announcement: Mapping[str, Any] = {}
        self._begun: set[int] = set()

    def begin(self, decision: Decision, announced: Mapping[str, Any] | None) -> bytes:
        """Nothing is said yet: the first event carries what is announced, in a field ``spillway``."""
        self._frame = frame(decision)
        self._announcement = {} if announced is None else {"spillway": announced}
        return b""

    def live(self, chunk: Mapping[str, Any]) -> bytes:
        """A chunk's pieces of text; empty where it has none."""
        choices = [self._piece(choice) for choice in chunk.get("choices") or () if isinstance(choice, Mapping)]
        choices = [choice for choice in choices if choice["text"] or choice["finish_reason"]]
        if not choices:
            return b""
        told = {**self._frame, "choices": choices, **self._announcement}
        self._announcement = {}
        return event(told | ({"usage": None} if self._include_usage else {}))

    def end(self, completion: Completion) -> bytes:
        """The rest."""
        pieces = [] if completion.live else [self.live(chunk) for chunk in split(completion.body, usage=False)]
        if self._include_usage:
            pieces.append(event(self._frame | {"choices": [], "usage": render_usage(completion)}))
        return b"".join([*pieces, DONE])

    def fail(self, error: RequestError) -> bytes:
        """A top-level ``error`` and no terminator."""
        return event(openai_error(error))

    def _piece(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        index, delta = choice.get("index", 0), choice.get("delta")
        text = text_of(delta if isinstance(delta, Mapping) else {})
        if index not in self._begun:
            self._begun.add(index)
            text = self._echo + text
        return text_choice(index, text, choice.get("finish_reason"), choice.get("logprobs"))
