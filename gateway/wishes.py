"""What a request wishes of the gateway itself, beside what it asks of a model: in ``x-spillway-*`` headers, or in the
body's field ``spillway``, which wins where both say the same.

Knows names, kinds and ranges. What a key or a policy allows of it is theirs to say.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.amounts import nanousd_of
from gateway.errors import InvalidRequest

FIELD = "spillway"
RESERVED = "spillway."
"""Tags that begin so are the gateway's own."""

_PREFIX = "x-spillway-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VALUE = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_MOST_TAGS = 16
_MOST_TIERS = 1000
_OLDEST_S = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheWish:
    """read, keep : whether a kept answer may be given, and this one be kept.   only : no model is to be asked.

    max_age_s : how old a kept answer may be; None: as old as is kept at all.
    """

    read: bool = True
    keep: bool = True
    only: bool = False
    max_age_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """None: not wished for.

    max_cost_nanousd : what all calls of the request together may cost.
    quality : no tier before the last is to be accepted with a lower score. It never lowers what the policy asks for.
    min_tier, max_tier : 1-based, both included, in the policy's whole strategy.
    transcript : False where what is asked and answered must not be kept.
    """

    max_cost_nanousd: int | None = None
    quality: float | None = None
    policy: str | None = None
    min_tier: int | None = None
    max_tier: int | None = None
    cache: CacheWish = CacheWish()
    tags: Mapping[str, str] = field(default_factory=dict)
    transcript: bool = True

    @property
    def bounded(self) -> bool:
        """Whether some tiers are not wished for."""
        return self.min_tier is not None or self.max_tier is not None

    def within(self, tier: int) -> bool:
        """Whether a tier is within the bounds."""
        return (self.min_tier or 1) <= tier <= (self.max_tier or tier)

    def told(self) -> dict[str, str]:
        """As tags, for who asks why the request was decided so."""
        values = {"quality": self.quality, "min_tier": self.min_tier, "max_tier": self.max_tier}
        return {f"{RESERVED}{name}": f"{value:g}" for name, value in values.items() if value is not None}


NONE = Wishes()


def wishes_of(headers: Mapping[str, str], told: Any) -> Wishes:
    """Raises InvalidRequest naming the header or the field at fault.

    headers : whose names compare without regard to case.   told : what stands in the body's field, None if nothing.
    """
    places = {name: _header(name) for name in _READERS}
    said: dict[str, tuple[str, Any]] = {
        name: (header, headers[header]) for name, header in places.items() if header in headers
    }
    if told is not None:
        if not isinstance(told, Mapping):
            raise _wrong(FIELD, "must be an object")
        unknown = sorted(str(name)[:64] for name in told if name not in _READERS)
        if unknown:
            raise _wrong(f"{FIELD}.{unknown[0]}", f"is no wish; there are: {', '.join(_READERS)}")
        own_tags = said.get("tags")
        said |= {name: (f"{FIELD}.{name}", value) for name, value in told.items() if value is not None}
        if own_tags is not None and "tags" in said and said["tags"] is not own_tags:
            both = _tags(*own_tags) | _tags(*said["tags"])
            said["tags"] = (said["tags"][0], both)
    found = {_ATTRIBUTES.get(name, name): _READERS[name](where, value) for name, (where, value) in said.items()}
    wishes = Wishes(**found)
    if wishes.min_tier is not None and wishes.max_tier is not None and wishes.min_tier > wishes.max_tier:
        raise _wrong(said["min_tier"][0], f"must be at most max_tier, which is {wishes.max_tier}")
    return wishes


def _header(name: str) -> str:
    return _PREFIX + name.replace("_", "-")


def _max_cost(where: str, value: Any) -> int:
    try:
        return nanousd_of(_plain(value))
    except (ValueError, InvalidOperation):
        raise _wrong(where, "must be an amount of US dollars, such as 0.002, with at most nine decimals") from None


def _plain(value: Any) -> str:
    """A number as people write it: JSON may spell a small one 1e-05."""
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _quality(where: str, value: Any) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise _wrong(where, "must be a number from 0 to 1")
    return number


def _policy(where: str, value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _wrong(where, "must be the name of a policy")
    return value


def _tier(where: str, value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,4}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_TIERS:
        raise _wrong(where, f"must be the number of a tier, from 1 to {_MOST_TIERS}")
    return value


def _cache(where: str, value: Any) -> CacheWish:
    right = "must be of no-cache, no-store, only-if-cached and max-age=SECONDS, with commas between them"
    if not isinstance(value, str):
        raise _wrong(where, right)
    words = {word.strip().lower() for word in value.split(",") if word.strip()}
    ages = {word for word in words if re.fullmatch(r"max-age=[0-9]{1,9}", word)}
    if not words or len(ages) > 1 or words - ages - {"no-cache", "no-store", "only-if-cached"}:
        raise _wrong(where, right)
    if {"no-cache", "only-if-cached"} <= words:
        raise _wrong(where, "cannot be no-cache and only-if-cached: nothing could answer")
    return CacheWish(
        read="no-cache" not in words,
        keep="no-store" not in words,
        only="only-if-cached" in words,
        max_age_s=min(_OLDEST_S, int(ages.pop().partition("=")[2])) if ages else None,
    )


def _truth(where: str, value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower())
    if not isinstance(value, bool):
        raise _wrong(where, "must be true or false")
    return value


def _tags(where: str, value: Any) -> dict[str, str]:
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {name.strip(): text.strip() if mark else None for name, mark, text in pairs}
    if not isinstance(value, Mapping) or len(value) > _MOST_TAGS:
        raise _wrong(where, f"must be at most {_MOST_TAGS} tags, each a name with a text")
    for name, text in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _wrong(where, f"has a tag without a name of letters, digits, '.', '_' and '-': {str(name)[:64]!r}")
        if name.startswith(RESERVED):
            raise _wrong(f"{where}.{name}", f"is the gateway's own: no tag may begin with {RESERVED}")
        if not isinstance(text, str) or not _VALUE.fullmatch(text):
            raise _wrong(f"{where}.{name}", "must be a text of 1 to 200 printable characters")
    return dict(value)


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "max_cost_usd": _max_cost,
    "quality": _quality,
    "policy": _policy,
    "min_tier": _tier,
    "max_tier": _tier,
    "cache_control": _cache,
    "tags": _tags,
    "transcript": _truth,
}
_ATTRIBUTES = {"max_cost_usd": "max_cost_nanousd", "cache_control": "cache"}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "Wishes of this gateway; each may also be said in a header, x-spillway-max-cost-usd and so on.",
    "properties": {
        "max_cost_usd": {
            "type": ["number", "string"],
            "minimum": 0,
            "description": "All calls together, exactly: up to nine decimals",
        },
        "quality": {"type": "number", "minimum": 0, "maximum": 1},
        "policy": {"type": "string", "pattern": f"^{_NAME.pattern}$"},
        "min_tier": {"type": "integer", "minimum": 1, "maximum": _MOST_TIERS},
        "max_tier": {"type": "integer", "minimum": 1, "maximum": _MOST_TIERS},
        "cache_control": {"type": "string", "description": "no-cache, no-store, only-if-cached, max-age=SECONDS"},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": _MOST_TAGS},
        "transcript": {"type": "boolean", "description": "false: what is asked and answered is not kept"},
    },
    "additionalProperties": False,
}


def _wrong(name: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{name} {what}.", param=name, code="invalid_parameter")
