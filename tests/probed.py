"""Models that are probed, for tests of what a gateway then makes of them."""

import asyncio
import json
from pathlib import Path

from gateway.config.check import load_settings
from gateway.experts.keeper import ProbeKeeper
from gateway.experts.prober import Prober
from gateway.experts.store import ProbeStore
from gateway.experts.tables import probes
from gateway.offer import load_offer
from scorer.scoring import Scorer
from tests.databases import rows_of
from tests.gateway_server import PRICE, Running
from tests.ledgers import a_ledger


def pool(name: str, base_url: str, more: str = "") -> str:
    fields = f"backend: openai_compatible, upstream_model: m, base_url: '{base_url}', {PRICE}, max_output_tokens: 512"
    return f"  - {{name: {name}, {fields}{more}}}\n"


async def known(gateway: Running, model: str, lacks: set[str], probed: int = 1) -> None:
    """Return once the gateway has found this out."""
    async with asyncio.timeout(30):
        while True:
            rows = [row for row in await rows_of(gateway.database, probes) if row["model"] == model]
            if [row["state"] for row in rows] == ["done"] * probed:
                break
            await asyncio.sleep(0.05)
    newest = max(rows, key=lambda row: row["since_us"])
    found = {each["ability"] for each in json.loads(newest["report"])["findings"] if each["verdict"] == "no"}
    assert found == lacks


async def look_round(gateway: Running, folder: Path) -> None:
    """What every gateway does each half minute, now."""
    offer = load_offer(load_settings(folder / "spillway.yaml", env={}), Scorer.load)
    store = ProbeStore(gateway.database)
    async with a_ledger(gateway.database) as ledger:
        await ProbeKeeper(store, Prober(store, ledger), lambda: offer, {}).look_round()
