"""A second strategy that answers a part of a policy's conversations, to be looked at before it answers all.

Knows how conversations are told apart. Knows no policy and no request path.
"""

import hashlib
from dataclasses import dataclass

from router.strategy import Strategy

TAG = "spillway.canary"
"""Of requests that a canary answered: its share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """share : of conversations, from 0 to 1."""

    strategy: Strategy
    share: float

    def takes(self, lot: float) -> bool:
        """Whether it answers the conversation that drew this lot."""
        return lot < self.share


def lot_of(tenant_id: str, conversation: str) -> float:
    """From 0 up to 1, the same for every turn of a conversation and in every process, and of no other as likely."""
    digest = hashlib.sha256(f"canary\n{tenant_id}\n{conversation}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
