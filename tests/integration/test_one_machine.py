"""compose.yaml and the systemd unit as their own tools judge them. Starts no container and no unit."""

import contextlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from gateway.cli import build
from gateway.config.check import load_settings
from gateway.config.settings import ServerSettings
from gateway.rates.redis import RedisRates
from gateway.tenancy.scope import RateLimit, Scope
from tests.services import own_redis

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
UNIT = (ROOT / "gateway" / "spillway.service").read_text()


def test_compose_is_what_the_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(PyCompose.from_yaml(yaml.safe_dump(COMPOSE))) == 4


def test_the_gateway_waits_for_healthy_stores_and_a_finished_migration() -> None:
    services = COMPOSE["services"]
    assert services["gateway"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    for name in ("postgres", "valkey"):
        assert services[name]["healthcheck"]["test"][0] == "CMD"


def test_containers_of_ours_are_read_only_and_listen_on_loopback() -> None:
    for name in ("gateway", "migrate"):
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"]["gateway"]["ports"])
    assert "ports" not in COMPOSE["services"]["postgres"]


def test_streams_end_before_a_container_or_unit_is_killed() -> None:
    drain_s = ServerSettings().drain_s
    assert int(COMPOSE["services"]["gateway"]["stop_grace_period"].removesuffix("s")) > drain_s
    found = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert found is not None
    assert int(found[1]) > drain_s


def test_what_they_call_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = [COMPOSE["services"][name]["command"][0] for name in ("gateway", "migrate")]
    called += re.findall(r"^ExecStart(?:Pre)?=\S+/spillway (\S+)", UNIT, re.MULTILINE)
    assert set(called) == {"serve", "migrate", "check-config"}
    names = {command.name for command in build(["serve"]).registered_commands}
    assert set(called) <= names
    for name, value in COMPOSE["services"]["migrate"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{.*?\}", "secret", value))
    file = tmp_path / "spillway.yaml"
    file.write_text(
        "database: {url: '${SPILLWAY_DATABASE_URL}', migrate_at_start: false}\n"
        "redis: {url: '${SPILLWAY_REDIS_URL}'}\n"
        "models: [{name: a, backend: openai_compatible, base_url: 'http://127.0.0.1:9/v1'}]\n"
        "policies: [{name: default, safe_model: a}]\n"
    )
    assert load_settings(file, serving=False).database_url == "postgresql+asyncpg://spillway:secret@postgres/spillway"


async def test_answers_that_fill_redis_leave_rate_limits_their_place(tmp_path: Path) -> None:
    told = COMPOSE["services"]["valkey"]["command"]
    policy = told[told.index("--maxmemory-policy") + 1]
    with own_redis(tmp_path) as (_, url):
        rates = RedisRates(url, timeout_s=5.0)
        async with Redis.from_url(url) as redis:
            used = (await redis.info("memory"))["used_memory"]
            await redis.config_set("maxmemory", used + 2_000_000)
            await redis.config_set("maxmemory-policy", policy)
            for n in range(4000):
                with contextlib.suppress(OutOfMemoryError):
                    await redis.set(f"spillway:cache:{n}", b"x" * 1000, ex=86_400)
            for n in range(50):
                limit = RateLimit(scope=Scope(level="key", id=str(n)), requests_per_minute=9)
                assert (await rates.take([limit], 0, "ticket", 60.0)).refused is None
        await rates.aclose()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_the_unit_is_valid_and_exposed_to_little(tmp_path: Path) -> None:
    unit = tmp_path / "spillway.service"
    # the programs are not where they would be on a server; everything else is checked as it is
    unit.write_text(UNIT.replace("/opt/spillway/bin/spillway", sys.executable))
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    limit = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", str(unit)]
    judged = subprocess.run(limit, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout[-300:]
