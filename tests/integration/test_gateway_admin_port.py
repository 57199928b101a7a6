"""With a port of their own, management and metrics are served there and nowhere else, as long as anything is."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from gateway.config.check import load_settings
from gateway.errors import ConfigError
from tests.gateway_process import refused, served_apart, spillway, stuttering
from tests.gateway_server import HELLO, OBSERVING, models, written

TOKEN = "an-operators-token-of-some-length"
APART = f"admin: {{token: {TOKEN}, port: 0}}\nauth: {{required: false}}\n"
OPERATOR = {"authorization": f"Bearer {TOKEN}"}
MANAGING = (
    *("/admin/orgs", "/admin/teams", "/admin/keys", "/admin/limits", "/admin/budgets", "/admin/alerts"),
    *("/admin/spend", "/admin/savings", "/admin/config", "/metrics"),
)
SERVING = ("/v1/models", "/dashboard", "/openapi.json")


async def test_each_port_serves_its_own_and_both_tell_their_health(tmp_path: Path) -> None:
    async with stuttering() as (upstream, carry_on):
        written(tmp_path, models(large=upstream.base_url), OBSERVING, APART)
        with served_apart(tmp_path) as (process, url, admin_url):
            async with (
                httpx.AsyncClient(base_url=url, timeout=60) as public,
                httpx.AsyncClient(base_url=admin_url, timeout=60, headers=OPERATOR) as admin,
            ):
                for path in MANAGING:
                    assert (await public.get(path, headers=OPERATOR)).status_code == 404, path
                    assert (await admin.get(path)).status_code == 200, path
                for path in SERVING:
                    assert (await public.get(path)).status_code == 200, path
                    assert (await admin.get(path)).status_code == 404, path
                assert (await admin.post("/v1/chat/completions", json={})).status_code == 404
                assert (await public.post("/admin/reload", headers=OPERATOR)).status_code == 404
                assert (await admin.post("/admin/reload")).status_code == 200
                for client in (public, admin):
                    assert (await client.get("/healthz")).status_code == 200
                    assert (await client.get("/readyz")).json()["status"] == "ready"
                assert not [path for path in (await public.get("/openapi.json")).json()["paths"] if "admin" in path]

                # while it drains, nothing new is taken, and it can be watched
                body = {"model": "auto", "messages": HELLO, "stream": True}
                async with public.stream("POST", "/v1/chat/completions", json=body) as response:
                    lines = response.aiter_lines()
                    await anext(lines)
                    process.send_signal(signal.SIGTERM)
                    await refused(url)
                    assert "spillway_requests_in_flight 2.0" in (await admin.get("/metrics")).text
                    carry_on.set()
                    assert [line async for line in lines if line][-1] == "data: [DONE]"
            assert await asyncio.to_thread(process.wait, 60) == 0


def test_one_port_cannot_be_both(tmp_path: Path) -> None:
    path = written(tmp_path, models(large="http://127.0.0.1:9/v1"), OBSERVING, "admin: {port: 8080}\n")
    with pytest.raises(ConfigError, match=r"admin\.port: 8080 is server\.port"):
        load_settings(path, env={})


async def test_a_taken_admin_port_is_said_in_words(tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        written(tmp_path, models(large="http://127.0.0.1:9/v1"), OBSERVING, f"admin: {{port: {port}}}\n")
        ended = await asyncio.to_thread(lambda: spillway("serve", "--port", "0", folder=tmp_path))
    assert ended.returncode == 1
    assert f"admin: cannot listen on 127.0.0.1, port {port}" in ended.stderr
    assert "admin.port gives another" in ended.stderr
