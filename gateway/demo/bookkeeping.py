"""The demo's keys, and what the ledger says that was spent with each.

Knows the database through the key store and the ledger's reports. Sends no request.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.database import Database
from gateway.demo.errors import DemoError
from gateway.demo.traffic import Exchange
from gateway.keys import DEFAULT_TENANT, KeyStore
from gateway.ledger.reports import Reports, SpendRow

_BACKSTAGE = "demo"
_SETTLED_WITHIN_S, _POLL_S = 15.0, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of the demo's; ``secret`` is what clients send."""

    id: str
    secret: str


def new_keys(database_url: str, *, app: str, others: Sequence[str]) -> dict[str, Key]:
    """A key for each purpose, so that the ledger keeps them apart.

    app : its dashboard shows its traffic only, for the others belong to another tenant.
    """
    tenants = {app: DEFAULT_TENANT} | dict.fromkeys(others, _BACKSTAGE)

    async def create() -> dict[str, Key]:
        database = Database(database_url)
        try:
            store = KeyStore(database)
            made = {name: await store.create(name, tenant_id=tenant) for name, tenant in tenants.items()}
        finally:
            await database.dispose()
        return {name: Key(id=info.key_id, secret=secret) for name, (info, secret) in made.items()}

    return asyncio.run(create())


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was spent with one key, told twice: by the ledger, and by the answers one by one."""

    purpose: str
    requests: int
    calls: int
    cache_hits: int
    ledger_nanousd: int
    answers_nanousd: int


def accounts(
    database_url: str, keys: Mapping[str, Key], exchanges: Mapping[str, Sequence[Exchange]]
) -> tuple[Account, ...]:
    """One account per purpose.

    Settlements reach the ledger a moment after the answers; this waits for them. Raises DemoError if they stay away.
    """
    rows = asyncio.run(_settled(database_url, {keys[purpose].id: len(sent) for purpose, sent in exchanges.items()}))
    return tuple(
        Account(
            purpose=purpose,
            requests=len(sent),
            calls=rows[keys[purpose].id].attempts,
            cache_hits=rows[keys[purpose].id].cache_hits,
            ledger_nanousd=rows[keys[purpose].id].known_nanousd,
            answers_nanousd=sum(int((one.cost_usd or Decimal(0)).scaleb(9)) for one in sent),
        )
        for purpose, sent in exchanges.items()
    )


async def _settled(database_url: str, requests: Mapping[str, int]) -> dict[str, SpendRow]:
    database = Database(database_url)
    deadline = time.monotonic() + _SETTLED_WITHIN_S
    try:
        while True:
            rows = {row.heading: row for row in await Reports(database).spend("key")}
            found = {key: rows[key] for key in requests if key in rows}
            if all(key in found and _complete(found[key], count) for key, count in requests.items()):
                return found
            if time.monotonic() > deadline:
                raise DemoError(f"the ledger has not settled all requests within {_SETTLED_WITHIN_S:.0f} s")
            await asyncio.sleep(_POLL_S)
    finally:
        await database.dispose()


def _complete(row: SpendRow, requests: int) -> bool:
    return row.requests == requests and row.open == 0 and row.accepted + row.cache_hits == requests
