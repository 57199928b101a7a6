"""What was asked and what came back: the vocabulary that every other module speaks.

Knows the shapes only. Messages and tools stay as the OpenAI wire format has them, so nothing is lost in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Message = Mapping[str, Any]
"""One chat message in OpenAI's wire format: ``role``, ``content`` (text or parts), ``tool_calls``, …"""

UsageSource = Literal["provider", "counted", "estimated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a client asks, without regard to who will answer it."""

    id: str
    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    response_format: Mapping[str, Any] | None = None
    task: str | None = None  # a label of the caller's or the log's, e.g. "math_word_problem"; never required


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one model said. ``token_logprobs`` is None where the backend returns none; it is never made up."""

    model: str
    text: str
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str | None = None  # stop | length | tool_calls | content_filter, as the backend said it
    token_logprobs: tuple[float, ...] | None = None  # natural log of each chosen token's probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a model is likely to do with a query, before it is asked."""

    p_good: float
    completion_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counts of one call, never money.

    Cached, cache-write and audio prompt tokens are contained in prompt tokens, reasoning and spoken ones in completion
    tokens, whichever way the provider told them.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_prompt_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_prompt_tokens: int = 0
    audio_completion_tokens: int = 0
    images: int = 0
    batch: bool = False  # served at leisure, which providers price as a batch
    priority: bool = False  # served ahead of others, which costs more
    source: UsageSource = "provider"
