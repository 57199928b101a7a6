"""What a scrape weighs and takes where there are many keys and many models: keys are no labels, models are bounded."""

import statistics
import time
from pathlib import Path

import pytest
from sqlalchemy import insert

from gateway.tenancy.tables import virtual_keys
from tests.gateway_server import PRICE, serving
from tests.upstream import BadUpstream

KEYS, MODELS, CALLED = 10_000, 500, 200


@pytest.mark.evidence
async def test_a_scrape_with_many_keys_and_models(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        listed = "".join(
            f"  - {{name: model-{n:03}, backend: openai_compatible, base_url: '{upstream.base_url}', {PRICE}}}\n"
            for n in range(MODELS)
        )
        policy = "policies: [{name: default, safe_model: model-000}]\n"
        async with serving(tmp_path, "models:\n" + listed, policy) as gateway:
            keys = [
                {
                    "key_id": f"key_{n:05}", "tenant_id": "default", "name": f"app {n}", "display_prefix": "sk-spw-x",
                    "secret_sha256": f"{n:064x}", "created_us": 1,
                }
                for n in range(KEYS)
            ]  # fmt: skip
            async with gateway.database.write() as connection:
                await connection.execute(insert(virtual_keys), keys)
            for n in range(CALLED):
                await gateway.chat(model=f"model-{n:03}")
            waits, text = [], ""
            for _ in range(20):
                began = time.monotonic()
                text = (await gateway.http.get("/metrics")).text
                waits.append(time.monotonic() - began)
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        print(f"{len(text) / 1e6:.2f} MB, {len(lines)} series, {statistics.median(waits) * 1000:.0f} ms a scrape")
        assert "key_0" not in text
        told = {
            line.partition('model="')[2].partition('"')[0] for line in lines if line.startswith("spillway_attempts")
        }
        assert len(told) == 101  # as many as telemetry.max_models, and "other"
