"""A reached threshold is told to a real webhook: once per budget, window and threshold, again where it failed."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.budgets.tables import budget_alerts
from tests import upstream as up
from tests.databases import rows_of
from tests.gateway_server import OBSERVING, Running, models, serving

SECRET = "a secret of twenty or more"
TOKEN = "the operator's own credential"


def sections(upstream: up.BadUpstream, webhook: str, networks: Sequence[str]) -> tuple[str, ...]:
    alerts = {"url": webhook, "secret": SECRET, "allowed_networks": list(networks), "timeout_s": 2}
    told = f"alerts: {json.dumps(alerts)}\nadmin: {{token: {json.dumps(TOKEN)}}}\n"
    return models(large=upstream.base_url), OBSERVING, told


async def over_http(gateway: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=gateway.url, headers={"authorization": f"Bearer {TOKEN}"})


async def until_told(gateway: Running, n: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(40):
        while True:
            rows = await rows_of(gateway.database, budget_alerts)
            if sum(row["told_us"] is not None for row in rows) >= n:
                return list(rows)
            await asyncio.sleep(0.05)


@pytest.mark.timeout(90)
async def test_a_threshold_is_told_once_and_again_where_it_failed(tmp_path: Path) -> None:
    async with up.BadUpstream() as upstream, up.BadUpstream() as webhook:
        webhook.will(up.status(503), up.raw(b"{}"))
        async with serving(tmp_path, *sections(upstream, webhook.base_url, ["127.0.0.0/8"])) as gateway:
            async with await over_http(gateway) as admin:
                wish = {
                    "level": "org",
                    "scope": "default",
                    "limit_usd": "0.0001",
                    "hard": False,
                    "alert_percents": [50],
                }
                made = (await admin.put("/admin/budgets", json=wish)).json()["id"]
                for _ in range(4):  # 30 % each: the threshold is passed by the second
                    assert (await gateway.chat()).status_code == 200
                (row,) = await until_told(gateway, 1)
                assert row["tries"] == 2
                assert [asked.body["id"] for asked in webhook.asked] == [f"{made}:{row['starts_us']}:50"] * 2
                asked = webhook.asked[-1]
                stamp, mark = asked.headers["x-spillway-signature"].split(",")
                raw = json.dumps(asked.body, separators=(",", ":"), ensure_ascii=False).encode()
                signed = stamp.removeprefix("t=").encode() + b"." + raw
                assert mark == "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
                changed = await admin.put("/admin/budgets", json=wish | {"limit_usd": "5"})
                assert changed.json()["id"] == made
                (standing,) = (await admin.get("/admin/budgets")).json()["data"]
                assert (standing["limit_usd"], standing["settled_usd"], standing["kind"]) == ("5", "0.00012", "soft")
                (alert,) = (await admin.get("/admin/alerts")).json()["data"]
                assert (alert["state"], alert["percent"]) == ("told", 50)
                assert (await admin.delete(f"/admin/budgets/{made}")).status_code == 204
                assert (await admin.delete(f"/admin/budgets/{made}")).status_code == 404
                assert (await admin.get("/admin/budgets")).json()["data"] == []
            assert len(webhook.asked) == 2


@pytest.mark.timeout(90)
async def test_a_webhook_in_a_private_network_is_not_called_unless_it_is_allowed(tmp_path: Path) -> None:
    async with up.BadUpstream() as upstream, up.BadUpstream() as webhook:
        async with serving(tmp_path, *sections(upstream, webhook.base_url, [])) as gateway:
            admin = await over_http(gateway)
            wish = {"level": "org", "scope": "default", "limit_usd": "0.00001", "hard": False}
            assert (await admin.put("/admin/budgets", json=wish)).status_code == 200
            await admin.aclose()
            await gateway.chat()
            async with asyncio.timeout(40):
                while not any(row["trouble"] for row in await rows_of(gateway.database, budget_alerts)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        assert not webhook.asked
