"""Which requests are asked of the reference model once more, for nobody, to see what that would have cost.

Knows how they are drawn. Knows no policy and no request path.
"""

import hashlib
from dataclasses import dataclass

TAG = "spillway.shadow"
"""Of requests that were drawn, before anything was called for them: the share that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """share : of requests, each as likely as any.   daily_nanousd : the most that all of a policy's cost in a day."""

    share: float
    daily_nanousd: int

    def takes(self, decision_id: str) -> bool:
        """Whether a request is drawn."""
        digest = hashlib.sha256(f"shadow\n{decision_id}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56 < self.share
