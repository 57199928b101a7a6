"""How many tokens a call has where its upstream did not tell: counted by its tokenizer, else bounded, and marked so.

No tokenizer in use makes more tokens than there are bytes, so that a bound is never too low. Knows one request's body.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from router.tokenizers import Counted, Tokenizer, count_answer, count_prompt, count_text
from scorer.answer import Usage

_UNDER_WAY_TOKENS = 32  # generated, and not heard any more, when a stream was broken off


class Counting:
    """Of the calls of one model with one body. tokenizer : None where its vocabulary is not known."""

    def __init__(self, body: Mapping[str, Any], tokenizer: Tokenizer | None) -> None:
        self._body, self._tokenizer = body, tokenizer

    def of_answer(self, reply: Mapping[str, Any], prompt_bytes: int) -> Usage:
        """Of a whole answer: ``counted`` where everything that was read and written is known, else ``estimated``."""
        prompt = self._prompt()
        answer = None if self._tokenizer is None else count_answer(reply, self._tokenizer)
        exact = prompt is not None and answer is not None and prompt.exact and answer.exact
        return Usage(
            prompt_tokens=prompt_bytes if prompt is None else prompt.tokens,
            completion_tokens=_bytes_of(reply) if answer is None else answer.tokens,
            source="counted" if exact else "estimated",
        )

    def of_part(self, heard: str, prompt_bytes: int) -> Usage:
        """Of an answer that broke off, with a little that was under way."""
        prompt = self._prompt()
        answer = None if self._tokenizer is None else count_text(heard, self._tokenizer)
        said = len(heard.encode("utf-8", "replace")) if answer is None else answer.tokens
        return Usage(
            prompt_tokens=prompt_bytes if prompt is None else prompt.tokens,
            completion_tokens=said + _UNDER_WAY_TOKENS,
            source="estimated",
        )

    def _prompt(self) -> Counted | None:
        return None if self._tokenizer is None else count_prompt(self._body, self._tokenizer)


def _bytes_of(reply: Mapping[str, Any]) -> int:
    said = 0
    choices = reply.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, Mapping) else None
        if isinstance(message, Mapping):
            spoken = {name: message.get(name) for name in ("content", "refusal", "tool_calls", "reasoning_content")}
            said += sum(len(orjson.dumps(part, default=str)) for part in spoken.values() if part)
    return said
