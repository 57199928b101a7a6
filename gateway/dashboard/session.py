"""A browser's session: a signed note of which key signed in and until when. The key itself is never in it.

Knows signatures and a clock. Whether the key still lives is asked of the key store at every page.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable

LIFETIME_S = 12 * 3600


class Sessions:
    """Makes and reads tokens of the form ``key id.expiry.signature``.

    secret : gives the random bytes that all processes of one installation share; asked once.
    """

    def __init__(self, secret: Callable[[], Awaitable[bytes]], *, clock: Callable[[], float] = time.time) -> None:
        self._ask_secret, self._clock = secret, clock
        self._secret: bytes | None = None

    async def begin(self, key_id: str) -> str:
        """A token that names the key for LIFETIME_S seconds."""
        content = f"{key_id}.{int(self._clock()) + LIFETIME_S}"
        return f"{content}.{await self._signature(content)}"

    async def key_id(self, token: str) -> str | None:
        """The key that a token names; None for a token that is forged, garbled or too old."""
        content, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), (await self._signature(content)).encode()):
            return None
        key_id, _, expiry = content.rpartition(".")
        return key_id if self._clock() < int(expiry) else None

    async def _signature(self, content: str) -> str:
        if self._secret is None:
            self._secret = await self._ask_secret()
        digest = hmac.new(self._secret, content.encode("utf-8", "replace"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
