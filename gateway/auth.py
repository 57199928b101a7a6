"""Who is calling: a bearer key's owner, or the one anonymous tenant where keys are not required.

Knows the header's form and asks the key store. Knows no HTTP framework, no budget and no limit.
"""

from typing import Protocol
from urllib.parse import urlsplit

from gateway.config.check import is_loopback
from gateway.errors import InvalidKey
from gateway.keys import Caller

ANONYMOUS = Caller(tenant_id="anonymous", key_id="anonymous", name="anonymous")


class Keys(Protocol):
    """What authentication needs of the key store."""

    async def find(self, secret: str) -> Caller | None:
        """Whose secret this is."""
        ...


class Authenticator:
    """keys : None where keys are not required."""

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys

    async def caller(self, authorization: str | None, origin: str | None = None) -> Caller:
        """The caller behind an ``authorization`` header. Raises InvalidKey.

        origin : the ``origin`` header. Without keys, a web page from elsewhere must not spend money through a
            visitor's browser, so it is refused.
        """
        if self._keys is None:
            if origin is not None and not _is_from_here(origin):
                raise InvalidKey("This gateway takes requests without a key from this machine's own programs only.")
            return ANONYMOUS
        scheme, _, secret = (authorization or "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret:
            raise InvalidKey(
                "There is no key in this request. Send it as: Authorization: Bearer sk-spw-…; "
                "`spillway keys create` makes one."
            )
        found = await self._keys.find(secret)
        if found is None:
            raise InvalidKey("This key is not known here, or it was revoked.")
        return found


def _is_from_here(origin: str) -> bool:
    try:
        return is_loopback(urlsplit(origin).hostname or "")
    except ValueError:  # such as http://[
        return False
