"""What `spillway keys` does: one short-lived visit to the database each.

Knows how keys are shown. Knows no secret but the one just made.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from gateway.config.check import load_settings
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.keys import DEFAULT_TENANT, KeyInfo, KeyStore

T = TypeVar("T")
_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")


def create_key(config: Path, name: str, tenant: str = DEFAULT_TENANT) -> tuple[str, str]:
    """The new key's id and its secret. Keys of one tenant share cache, decisions and dashboard. Raises GatewayError."""
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise GatewayError("a key's name must be 1 to 200 printable characters, e.g. the app's name")
    if not _TENANT.fullmatch(tenant):
        raise GatewayError("a tenant must be 1 to 64 letters, digits, dots, dashes or underscores, e.g. research")
    info, secret = _visit(config, lambda keys: keys.create(name.strip(), tenant_id=tenant))
    return info.key_id, secret


def list_keys(config: Path) -> Iterator[str]:
    """A table of all keys, line by line."""
    found = _visit(config, lambda keys: keys.list())
    if not found:
        yield "There are no keys yet; `spillway keys create NAME` makes one."
        return
    width = max(len(info.name) for info in found)
    broad = max(len("tenant"), *(len(info.tenant_id) for info in found))
    yield f"{'id':<36}  {'name':<{width}}  {'tenant':<{broad}}  {'key':<14}  {'created':<16}  state"
    for info in found:
        made = info.created.strftime("%Y-%m-%d %H:%M")
        shown = f"{info.name:<{width}}  {info.tenant_id:<{broad}}  {info.display_prefix + '…':<14}"
        yield f"{info.key_id:<36}  {shown}  {made}  {_state(info)}"


def revoke_key(config: Path, key_id: str) -> str:
    """What was done, in words. Raises GatewayError if there is no such live key."""
    _visit(config, lambda keys: keys.revoke(key_id))
    return f"{key_id} is revoked; a running gateway stops accepting it within seconds."


def _state(info: KeyInfo) -> str:
    return "live" if info.revoked is None else f"revoked {info.revoked:%Y-%m-%d %H:%M}"


def _visit(config: Path, act: Callable[[KeyStore], Awaitable[T]]) -> T:
    async def visit() -> T:
        database = Database(load_settings(config, serving=False).database_url)
        try:
            await database.migrate()
            return await act(KeyStore(database))
        finally:
            await database.dispose()

    return asyncio.run(visit())
