"""What `spillway keys` does: one short-lived visit to the database each.

Knows how keys are shown. Knows no secret but the one just made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from gateway.config.check import load_settings
from gateway.database import Database
from gateway.errors import GatewayError
from gateway.keys import KeyInfo, KeyStore

T = TypeVar("T")


def create_key(config: Path, name: str) -> tuple[str, str]:
    """The new key's id and its secret. Raises GatewayError."""
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise GatewayError("a key's name must be 1 to 200 printable characters, e.g. the app's name")
    info, secret = _visit(config, lambda keys: keys.create(name.strip()))
    return info.key_id, secret


def list_keys(config: Path) -> Iterator[str]:
    """A table of all keys, line by line."""
    found = _visit(config, lambda keys: keys.list())
    if not found:
        yield "There are no keys yet; `spillway keys create NAME` makes one."
        return
    width = max(len(info.name) for info in found)
    yield f"{'id':<36}  {'name':<{width}}  {'key':<14}  {'created':<16}  state"
    for info in found:
        made = info.created.strftime("%Y-%m-%d %H:%M")
        yield f"{info.key_id:<36}  {info.name:<{width}}  {info.display_prefix + '…':<14}  {made}  {_state(info)}"


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
