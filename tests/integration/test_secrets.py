"""Secrets are planted wherever one can stand, in configuration and requests; then everything said is searched."""

import asyncio
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway_process import served, spillway, starting
from tests.gateway_server import HELLO, models, serving, written
from tests.upstream import BadUpstream, Behaviour, answer, raw, status

PROVIDER_KEY, HEADER = "sk-provider-PLANTED-1", "header-PLANTED-2"
TOKEN, ALERTS = "operator-token-PLANTED-3", "alerts-secret-PLANTED-4"
REDIS, WEBHOOK = "redis-password-PLANTED-5", "webhook-secret-PLANTED-6"
DATABASE, DEPLOYMENT = "database-password-PLANTED-7", "sk-deployment-PLANTED-8"
CLIENTS_OWN = "sk-clients-own-PLANTED-9"
MARK = "PLANTED"

ADMIN = {"authorization": f"Bearer {TOKEN}"}


def sections(base_url: str) -> tuple[str, ...]:

    fields = f"deployments: [{{name: a}}, {{name: b, api_key: {DEPLOYMENT}}}]\n    retries: {{most: 0}}"
    told = models(large=base_url).replace("backend:", f'api_key: "{PROVIDER_KEY}"\n    backend:')

    return (
        told + f'    extra_headers: {{x-team: "{HEADER}"}}\n    {fields}\n',
        "policies:\n  - {name: default, safe_model: large}\n"
        "  - name: checked\n    safe_model: large\n    verifiers:\n"
        f"      - {{name: hook, kind: webhook, url: 'http://127.0.0.1:9/hook', secret: {WEBHOOK}}}\n",
        "default_policy: default\n",
        f"admin: {{token: {TOKEN}}}\n",
        f"redis: {{url: 'redis://:{REDIS}@127.0.0.1:9/0'}}\n",
        f"alerts: {{url: 'http://127.0.0.1:9/alerts', secret: {ALERTS}}}\n",
    )


ECHOING: dict[str, Behaviour] = {
    "an answer": answer("fine"),
    "401 that repeats the key": status(401, f"Incorrect API key provided: {PROVIDER_KEY}"),
    "400 that repeats the key": status(400, f"bad request with key {PROVIDER_KEY} and {HEADER}"),
    "500 that repeats headers": status(500, f"authorization: Bearer {PROVIDER_KEY}; x-team: {HEADER}"),
    "an error page": raw(f"<pre>{PROVIDER_KEY} {DEPLOYMENT} {HEADER}</pre>".encode(), content_type="text/html"),
}


def planted(said: str, *others: str) -> list[str]:
    """What was found, each with a little of what stands around it."""
    found = []
    for secret in (MARK, *others):
        place = said.find(secret)
        if place >= 0:
            found.append(said[max(0, place - 120) : place + 60])
    return found


async def everything_served(http: httpx.AsyncClient, key: str) -> dict[str, str]:
    """Bodies and headers of every answer, by what was asked."""
    own = {"authorization": f"Bearer {key}"}
    said: dict[str, str] = {}

    async def ask(method: str, path: str, headers: dict[str, str], **fields: Any) -> httpx.Response:
        response = await http.request(method, path, headers=headers, **fields)
        said[f"{method} {path} {len(said)}"] = f"{response.status_code} {response.headers} {response.text}"
        return response

    chat = {"model": "auto", "messages": HELLO}
    decision = ""
    for body in (chat, chat | {"stream": True}, chat | {"model": "cascade/checked"}):
        answered = await ask("POST", "/v1/chat/completions", own, json=body)
        decision = answered.headers["x-request-id"]
        await ask("GET", f"/v1/decisions/{decision}", own)
    await ask("POST", "/v1/messages", {"x-api-key": key}, json=chat | {"max_tokens": 5})
    await ask("POST", "/v1/responses", own, json={"model": "auto", "input": "hello"})
    await ask("POST", "/v1/chat/completions", {"authorization": f"Bearer {CLIENTS_OWN}"}, json=chat)
    await ask("POST", "/v1/chat/completions", own, json=chat | {"metadata": {"a": 1}, "api_key": CLIENTS_OWN})
    await ask("POST", "/v1/chat/completions", own, content=f'{{"model": "auto", "api_key": "{CLIENTS_OWN}"')
    await ask("GET", f"/v1/models?key={CLIENTS_OWN}", own)
    for path in ("/metrics", "/readyz", "/openapi.json", "/v1/models", f"/nowhere?key={CLIENTS_OWN}"):
        await ask("GET", path, own)
    for path in ("orgs", "teams", "keys", "limits", "budgets", "alerts", "spend?by=key", "savings", "config"):
        await ask("GET", f"/admin/{path}", ADMIN)
    await ask("POST", "/admin/reload", ADMIN)
    login = await ask("POST", "/dashboard/login", {"origin": str(http.base_url)}, data={"key": key})
    session = {"cookie": "; ".join(f"{name}={value}" for name, value in login.cookies.items())}
    await ask("GET", "/dashboard", session)
    await ask("GET", f"/dashboard/decisions/{decision}", session)
    return said


@pytest.mark.parametrize("behaviour", ECHOING.values(), ids=ECHOING.keys())
async def test_nothing_served_or_logged_at_any_level_holds_a_secret(
    behaviour: Behaviour, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with BadUpstream() as upstream:
        with caplog.at_level(logging.DEBUG):
            async with serving(tmp_path, *sections(upstream.base_url)) as gateway:
                upstream.will(behaviour)
                said = await everything_served(gateway.http, gateway.key)
                upstreams = [asked.headers for asked in upstream.asked]
        assert PROVIDER_KEY in str(upstreams), "the secrets were not even in use"
        assert HEADER in str(upstreams)
        assert MARK not in "".join(str(asked.body) for asked in upstream.asked)
        assert CLIENTS_OWN not in str(upstreams)
    logs = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records if not _tests_own(record))
    assert len(caplog.records) > 100, "nothing was logged at the lower levels"
    assert planted(logs, gateway.key) == []
    for asked, answered in said.items():
        assert planted(answered, gateway.key) == [], asked


def _tests_own(record: logging.LogRecord) -> bool:
    """What the test's own client, which knows its URLs, says."""
    return record.name.startswith(("httpx", "httpcore"))


async def test_a_process_says_nothing_on_its_way_up_at_work_and_down(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        written(tmp_path, *sections(upstream.base_url))
        key = spillway("keys", "create", "app", folder=tmp_path).stdout.strip()
        assert key.startswith("sk-spw-")
        with served(tmp_path) as (process, url):
            async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                await everything_served(http, key)
            written(tmp_path, *sections(upstream.base_url), f"serverr: {{key: {DATABASE}}}\n")
            async with httpx.AsyncClient(base_url=url, timeout=60) as http:
                refused = await http.post("/admin/reload", headers=ADMIN)
                assert refused.status_code == 422
                assert planted(refused.text) == []
            process.terminate()
            rest = await asyncio.to_thread(lambda: "".join(process.stderr or ()))
    assert "configuration refused" in rest
    assert planted(rest, key) == []


def wrong(base: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "as it is", base
    yield "a key in the wrong place", (*base, f"api_key: {PROVIDER_KEY}\n")
    yield "a short token", tuple(part.replace(TOKEN, MARK) for part in base)
    yield "a token that is a list", tuple(part.replace(TOKEN, f"[{TOKEN}]") for part in base)
    yield "a database that is none", (*base, f"database: {{url: 'mysql://u:{DATABASE}@127.0.0.1:9/x'}}\n")
    yield "a database that is away", (*base, f"database: {{url: 'postgresql+asyncpg://u:{DATABASE}@127.0.0.1:9/x'}}\n")
    yield "a redis that is none", tuple(part.replace("redis://", "http://") for part in base)
    yield "a key with a line break", tuple(part.replace(PROVIDER_KEY, PROVIDER_KEY + "\\n") for part in base)
    yield "no YAML", (*base, f"x: [{PROVIDER_KEY}\n")


@pytest.mark.parametrize(
    ("name", "config"), list(wrong(sections("http://127.0.0.1:9/v1"))), ids=lambda value: str(value)[:30]
)
def test_commands_say_what_is_wrong_without_it(name: str, config: tuple[str, ...], tmp_path: Path) -> None:
    written(tmp_path, *config)
    commands: list[tuple[str, ...]] = [("check-config",), ("spend",)]
    if name in ("a database that is none", "a redis that is none", "a key with a line break"):
        commands.append(("serve", "--port", "0"))
    for command in commands:
        ended: subprocess.CompletedProcess[str] = spillway(*command, folder=tmp_path)
        assert planted(ended.stdout + ended.stderr) == [], command
        assert "Traceback" not in ended.stderr


def test_waiting_for_a_database_is_said_without_its_password(tmp_path: Path) -> None:
    away = f"database: {{url: 'postgresql+asyncpg://u:{DATABASE}@127.0.0.1:9/x'}}\n"
    written(tmp_path, *sections("http://127.0.0.1:9/v1"), away)
    with starting(tmp_path) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "waiting up to" in line)
        process.terminate()
        said += process.stderr.read()
    assert planted(said) == []
    assert "Traceback" not in said
