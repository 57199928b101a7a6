"""Which conversations were found hard: the next turns of one that escalated need not begin with the cheap tier again.

A turn knows the one before it by what was said before the last answer, so nothing but the messages themselves has to be
sent along. Knows hashes and moments, in this process alone. Knows no text for longer than it takes to hash it.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scorer.answer import Message

_MOST = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sticky:
    """A policy's rule. turns : so many later turns begin at the tier that answered.   ttl_s : after that, none does."""

    turns: int
    ttl_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Where a conversation stands. tier : at which its next turn begins, from 1.   turns : how many more do."""

    tier: int
    turns: int
    until: float


class Conversations:
    """Those of this process that escalated, at most ``most`` of them: the ones longest ago are forgotten first."""

    def __init__(self, *, most: int = _MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._holds: OrderedDict[bytes, Hold] = OrderedDict()
        self._most, self._clock = most, clock

    def __len__(self) -> int:
        return len(self._holds)

    def hold_of(self, owner: str, messages: Sequence[Message]) -> Hold | None:
        """Where the conversation that goes on with these messages stands; None where nothing is held.

        owner : whose it is; nobody else's conversations are looked at.
        """
        last = max((n for n, message in enumerate(messages) if message.get("role") == "assistant"), default=0)
        key = _key(owner, messages[:last])
        hold = self._holds.get(key) if last else None
        if hold is not None and self._clock() >= hold.until:
            del self._holds[key]
            return None
        return hold

    def answered(
        self, owner: str, messages: Sequence[Message], tier: int, rule: Sticky, hold: Hold | None, *, escalated: bool
    ) -> None:
        """A turn was answered. hold : where it stood before.   escalated : by a later tier than it began with."""
        if escalated:
            self._put(_key(owner, messages), Hold(tier=tier, turns=rule.turns, until=self._clock() + rule.ttl_s))
        elif hold is not None and hold.turns > 1:
            self._put(_key(owner, messages), Hold(tier=hold.tier, turns=hold.turns - 1, until=hold.until))

    def _put(self, key: bytes, hold: Hold) -> None:
        self._holds[key] = hold
        self._holds.move_to_end(key)
        while len(self._holds) > self._most:
            self._holds.popitem(last=False)


def _key(owner: str, messages: Sequence[Message]) -> bytes:
    told = repr([owner, *messages]).encode("utf-8", "replace")
    return hashlib.blake2b(told, digest_size=16).digest()


def conversation_of(messages: Sequence[Message]) -> str:
    """What the turns of one conversation have in common: everything up to its first question."""
    first = next((n for n, message in enumerate(messages) if message.get("role") == "user"), 0)
    return hashlib.sha256(repr(tuple(messages[: first + 1])).encode("utf-8", "replace")).hexdigest()
