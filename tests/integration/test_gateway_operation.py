"""Running a gateway: health, metrics, logs, starting, draining, and the command line around it."""

import asyncio
import json
import signal
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from gateway.database import Database, DatabaseUnavailable
from gateway.ledger.writer import LedgerWriter
from tests.gateway_process import refused, served, spillway, stuttering
from tests.gateway_server import HELLO, OBSERVING, models, serving, written
from tests.upstream import BadUpstream, answer, hang, status

ANONYMOUS = "auth: {required: false}\n"


async def test_health_readiness_and_metrics_need_no_key_and_call_no_model(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        async with httpx.AsyncClient(base_url=gateway.url) as http:
            assert (await http.get("/healthz")).json() == {"status": "ok"}
            ready = await http.get("/readyz")
            assert (ready.status_code, ready.json()["checks"]) == (200, {"gateway": "ok", "database": "ok"})
            assert (await http.get("/metrics")).status_code == 200
        assert upstream.asked == []


async def test_metrics_count_requests_attempts_tokens_and_cost_without_keys(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        await gateway.chat(temperature=0)
        await gateway.chat(temperature=0)
        upstream.will(status(500))
        await gateway.chat()
        await gateway.http.get("/made/up/path")
        text = (await gateway.http.get("/metrics")).text

    for line in (
        'spillway_requests_total{endpoint="/v1/chat/completions",status="200"} 2.0',
        'spillway_requests_total{endpoint="/v1/chat/completions",status="502"} 1.0',
        'spillway_requests_total{endpoint="unmatched",status="404"} 1.0',
        'spillway_attempts_total{model="large",state="accepted"} 1.0',
        'spillway_upstream_errors_total{error="BackendBroken",model="large"} 1.0',
        'spillway_tokens_total{direction="input",model="large"} 10.0',
        'spillway_cache_lookups_total{policy="default",status="HIT"} 1.0',
        'spillway_decisions_total{policy="default",stop_reason="cached",tier="1"} 1.0',
        'spillway_decisions_total{policy="default",stop_reason="failed",tier=""} 1.0',
        "spillway_requests_in_flight 1.0",
        "spillway_ledger_unknown_prices_total 0.0",
    ):
        assert line in text
    assert gateway.key not in text
    assert "key_" not in text
    assert "/made/up" not in text


async def test_a_database_that_is_away_is_not_ready_and_not_dead(tmp_path: Path) -> None:
    async with serving(tmp_path, models(large="http://127.0.0.1:1/v1"), OBSERVING) as gateway:

        async def away(_self: Database) -> None:
            raise DatabaseUnavailable("disk I/O error at /secret/path")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Database, "schema", away)
            response = await gateway.http.get("/readyz")
            assert response.status_code == 503
            assert response.json()["checks"]["database"] == "does not answer"
            assert (await gateway.http.get("/healthz")).status_code == 200


async def test_a_ledger_that_cannot_be_written_is_not_ready(tmp_path: Path) -> None:
    async with serving(tmp_path, models(large="http://127.0.0.1:1/v1"), OBSERVING) as gateway:
        assert (await gateway.http.get("/readyz")).status_code == 200
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(LedgerWriter, "trouble", "the ledger cannot be written")
            response = await gateway.http.get("/readyz")
            assert response.status_code == 503
            assert response.json()["checks"] == {"gateway": "the ledger cannot be written", "database": "ok"}


async def test_a_database_file_that_was_taken_away_is_not_ready_and_nothing_is_called(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        assert (await gateway.chat()).status_code == 200
        (tmp_path / "spillway.db").rename(tmp_path / "elsewhere.db")
        assert (await gateway.http.get("/readyz")).status_code == 503
        assert (await gateway.chat()).status_code == 503
        assert len(upstream.asked) == 1
        (tmp_path / "elsewhere.db").rename(tmp_path / "spillway.db")
        assert (await gateway.chat()).status_code == 200


async def test_the_access_log_says_what_happened_and_nothing_that_was_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer("the answer's own words"))
        await gateway.chat(messages=[{"role": "user", "content": "the prompt's own words"}])
        await gateway.http.get("/v1/models?secret=in-the-query")
        await gateway.http.get("/healthz")

    lines = [record.fields for record in caplog.records if record.name == "spillway.access"]  # type: ignore[attr-defined]  # set by extra=
    assert [line["endpoint"] for line in lines] == ["/v1/chat/completions", "/v1/models"]
    assert lines[0]["status"] == 200
    assert lines[0]["model"] == "large"
    assert lines[0]["cost_usd"] == "0.00003"
    own = [record.getMessage() for record in caplog.records if record.name != "httpx"]
    everything = json.dumps(lines) + "".join(own)
    for secret in (gateway.key, "own words", "in-the-query"):
        assert secret not in everything


async def test_without_keys_this_machine_alone_is_served(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        sections = (models(large=upstream.base_url), OBSERVING, ANONYMOUS)
        async with serving(tmp_path, *sections) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
            body = {"model": "auto", "messages": HELLO}
            response = await http.post("/v1/chat/completions", json=body)
            assert response.status_code == 200
            decision = await http.get(f"/v1/decisions/{response.headers['x-request-id']}")
            assert decision.json()["key_id"] is None

            page = await http.post("/v1/chat/completions", json=body, headers={"origin": "https://example.com"})
            assert page.status_code == 401
            assert len(upstream.asked) == 1


async def test_a_request_under_way_is_completed_after_sigterm(tmp_path: Path) -> None:
    async with stuttering() as (upstream, carry_on):
        written(tmp_path, models(large=upstream.base_url), OBSERVING, ANONYMOUS)
        with served(tmp_path) as (process, url):
            async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                body = {"model": "auto", "messages": HELLO, "stream": True}
                async with http.stream("POST", "/v1/chat/completions", json=body) as response:
                    lines = response.aiter_lines()
                    assert "hello" in await anext(lines)
                    process.send_signal(signal.SIGTERM)
                    await refused(url)
                    carry_on.set()
                    rest = [line async for line in lines if line]
            assert rest[-1] == "data: [DONE]"
            assert process.wait(timeout=30) == 0

    spend = spillway("spend", "--json", folder=tmp_path)
    assert spend.returncode == 0, spend.stderr
    assert '"accepted"' in spend.stdout


async def test_a_request_that_a_stop_cannot_wait_for_is_told_so_and_settled(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(hang("before_headers"))
        written(tmp_path, "server: {drain_s: 1}\n", models(large=upstream.base_url), OBSERVING, ANONYMOUS)
        with served(tmp_path) as (process, url):
            async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                asking = asyncio.create_task(
                    http.post("/v1/chat/completions", json={"model": "auto", "messages": HELLO})
                )
                await upstream.reached()
                process.send_signal(signal.SIGTERM)
                response = await asking
            assert (response.status_code, response.json()["error"]["code"]) == (503, "unavailable")
            assert response.headers["x-should-retry"] == "false"  # what was called may be billed
            assert process.wait(timeout=30) == 0

    spend = json.loads(spillway("spend", "--json", folder=tmp_path).stdout)
    assert (spend["total"]["cancelled"], spend["total"]["open"]) == (1, 0)


def test_keys_are_created_listed_and_revoked(tmp_path: Path) -> None:
    written(tmp_path, models(large="http://127.0.0.1:1/v1").replace("base_url:", "api_key: ${NOT_SET}\n    base_url:"))
    assert "no keys yet" in spillway("keys", "list", folder=tmp_path).stdout
    made = spillway("keys", "create", "my app", folder=tmp_path)
    secret = made.stdout.strip()
    assert secret.startswith("sk-spw-")
    assert secret not in made.stderr
    listed = spillway("keys", "list", folder=tmp_path).stdout
    assert "my app" in listed
    assert "live" in listed
    assert secret not in listed
    key_id = next(word for word in listed.split() if word.startswith("key_"))
    assert "is revoked" in spillway("keys", "revoke", key_id, folder=tmp_path).stdout
    again = spillway("keys", "revoke", key_id, folder=tmp_path)
    assert again.returncode == 1
    assert "no live key" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_key_belongs_to_the_tenant_that_it_was_made_for(tmp_path: Path) -> None:
    written(tmp_path, models(large="http://127.0.0.1:1/v1"))
    unknown = spillway("keys", "create", "app", "--tenant", "research", folder=tmp_path)
    assert (unknown.returncode, "spillway orgs create" in unknown.stderr) == (1, True)  # a slip of the pen makes none
    assert spillway("orgs", "create", "research", folder=tmp_path).returncode == 0
    for option, tenant in (("--tenant", "research"), ("--org", "default")):
        assert spillway("keys", "create", "app", option, tenant, folder=tmp_path).returncode == 0
    listed = spillway("keys", "list", folder=tmp_path).stdout.splitlines()[1:]
    assert [line.split()[2] for line in listed] == ["research", "default"]
    refused = spillway("orgs", "create", "no spaces", folder=tmp_path)
    assert refused.returncode == 1
    assert "organisation's id must be" in refused.stderr


def test_what_stands_against_serving_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "spillway.yaml").write_text("models:\n  - {name: a, backend: hosted, prize: 1}\n")
    for command in ("serve", "check-config"):
        refused = spillway(command, folder=tmp_path)
        assert refused.returncode == 1
        assert "spillway.yaml, line 2: models[0].prize: is not a field here; did you mean 'price'?" in refused.stderr
        assert "Traceback" not in refused.stderr

    written(tmp_path, models(large="http://127.0.0.1:1/v1"), "database: {url: 'mysql://x'}\n")
    refused = spillway("serve", "--port", "0", folder=tmp_path)
    assert refused.returncode == 1
    assert "database.url" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "env",
    [{}, {"OPENAI_API_KEY": "k1", "ANTHROPIC_API_KEY": "k2", "DEEPSEEK_API_KEY": "k3", "OLLAMA_HOST": "0.0.0.0"}],
)
def test_what_init_writes_passes_check_config(tmp_path: Path, env: Mapping[str, str]) -> None:
    made = spillway("init", folder=tmp_path, env=env)
    assert made.returncode == 0, made.stderr
    checked = spillway("check-config", folder=tmp_path, env=env)
    assert checked.returncode == 0, checked.stderr
    assert "cascade/default, auto: observes" in checked.stdout
    text = (tmp_path / "spillway.yaml").read_text()
    assert not any(value in text for name, value in env.items() if name.endswith("KEY"))
    again = spillway("init", folder=tmp_path, env=env)
    assert (again.returncode, "--force" in again.stderr) == (1, True)
