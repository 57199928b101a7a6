"""Which requests and answers may be cached, under which key, and whether a cached answer may be served today.

Knows OpenAI's wire format and strategies. Knows no storage.
"""

import hashlib
import hmac
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.cache.cache import CacheEntry
from router.strategy import Stage

CacheMode = Literal["deterministic", "all", "off"]

NOT_IN_KEY = frozenset({"stream", "stream_options"})
"""Fields that change how an answer travels and not what it says."""

_TIME_BOUND = ("web_search_options", "background")  # answers that depend on when they are asked for
_DECISIVE = frozenset({"accepted", "best_seen", "last_stage"})  # a makeshift answer is not to outlive its emergency


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheScope:
    """What beside the body decides who may get an answer, and which one.

    served : what would serve the request, spelt out: tiers, thresholds, upstreams, verifiers.
    """

    tenant_id: str
    endpoint: str
    policy: str | None
    strategy_id: str | None
    scorer_version: str | None
    served: str = ""


def why_not_read(body: Mapping[str, Any], mode: CacheMode) -> str | None:
    """Why a request may neither be answered from the cache nor its answer kept; None if it may."""
    if mode == "off":
        return "the policy does not cache"
    for name in _TIME_BOUND:
        if body.get(name):
            return f"{name}: the answer depends on when it is asked for"
    if mode == "all":
        return None
    temperature = body.get("temperature")
    number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    if not number or temperature != 0:
        return "the policy caches at temperature 0 only"
    return None


def why_not_keep(reply: Mapping[str, Any], stop_reason: str) -> str | None:
    """Why an answer may not be kept; None if it may. ``reply`` is the chat.completion object."""
    if stop_reason not in _DECISIVE:
        return f"it was not chosen in the ordinary way: {stop_reason}"
    choices = reply.get("choices")
    if reply.get("error") or not isinstance(choices, list) or not choices:
        return "it is no answer"
    for choice in choices:
        reason = _why_not_keep_choice(choice)
        if reason is not None:
            return reason
    return None


def why_not_serve(entry: CacheEntry, stages: Sequence[Stage], scorer_version: str | None) -> str | None:
    """Why today's strategy would not accept a kept answer; None if it would."""
    stage = next((stage for stage in stages if stage.model == entry.model), None)
    if stage is None:
        return f"{entry.model} is no tier of today's strategy"
    if stage.threshold is None:
        return None
    if entry.score is None or entry.scorer_version != scorer_version:
        return "it was not scored by today's scorer"
    if entry.score < stage.threshold:
        return f"its score {entry.score:.3f} is below today's threshold {stage.threshold:.3f}"
    return None


def prompt_cache_salt(secret: bytes, tenant_id: str) -> str:
    """What a tenant's prompts are kept apart by in an engine's own cache: nobody outside can make it, or learn from how
    long an answer takes what another tenant asked.   secret : see ``cache_key``.
    """
    return hmac.new(secret, b"prompt cache\n" + tenant_id.encode(), hashlib.sha256).hexdigest()


def cache_key(secret: bytes, scope: CacheScope, body: Mapping[str, Any]) -> str:
    """The key of a request: HMAC-SHA256, in hex, of its scope and every field of its body but ``NOT_IN_KEY``.

    Two requests share a key only if they are of one scope and equal, type by type, up to the order of object keys.
    secret : Database.installation_secret, so that nobody outside can make or test keys.
    """
    fields = {name: value for name, value in body.items() if name not in NOT_IN_KEY}
    parts: list[Any] = [scope.tenant_id, scope.endpoint, scope.policy, scope.strategy_id, scope.scorer_version]
    parts += [scope.served, fields]
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    for piece in _spelt(parts):
        digest.update(piece)
    return digest.hexdigest()


def _why_not_keep_choice(choice: object) -> str | None:
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return "it is no answer"
    if choice.get("finish_reason") != "stop":
        return f"it did not come to its own end: {choice.get('finish_reason')}"
    for name in ("tool_calls", "function_call", "refusal", "audio"):
        if message.get(name):
            return f"{name}: it is more than a text"
    content = message.get("content")
    return None if isinstance(content, str) and content.strip() else "it is empty"


def _spelt(value: object) -> Iterable[bytes]:
    """Pieces that spell a JSON value so that no two values are spelt alike."""
    try:  # in C: a body of millions of numbers must not hold up every other request for seconds
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, check_circular=False, separators=(",", ":"))
    except (RecursionError, TypeError):
        yield b"c"
        yield from _canonical(value)
    else:
        yield b"j" + text.encode("utf-8", "surrogatepass")


def _canonical(value: object) -> Iterable[bytes]:
    """The same for what is nested too deeply for a stack."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            yield b"m%d:" % len(item)
            for name in sorted(item, key=_text, reverse=True):
                waiting += (item[name], name)
        elif isinstance(item, Sequence) and not isinstance(item, str | bytes):
            yield b"l%d:" % len(item)
            waiting.extend(reversed(item))
        else:
            yield _scalar(item)


def _scalar(item: object) -> bytes:
    if item is None:
        return b"n"
    if isinstance(item, bool):
        return b"t" if item else b"f"
    if isinstance(item, int):
        return b"i%x;" % item if item >= 0 else b"i-%x;" % -item
    if isinstance(item, float):
        return b"d" + struct.pack(">d", item)
    data = _text(item)
    return b"s%d:" % len(data) + data


def _text(item: object) -> bytes:
    if not isinstance(item, str):
        raise TypeError(f"a JSON value cannot be of {type(item).__name__}")
    return item.encode("utf-8", "surrogatepass")
