"""What a client writes stays inside the value that it wrote: no header, log line or terminal command of its own."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.gateway_process import served, spillway
from tests.gateway_server import HELLO, models, written
from tests.upstream import BadUpstream, answer, raw

HOSTILE = (
    "a\r\nx-evil: 1",
    'a\n{"level": "info", "message": "forged"}',
    "\x1b[2J\x1b[31mred",
    "a\u2028b\u0085c",
    "a\x00b",
    "\ud800",
)


@contextmanager
def gateway(folder: Path, base_url: str) -> Iterator[tuple[str, str, list[str]]]:
    """A process's URL, a key, and, once it has ended, every line that it logged."""
    written(folder, models(large=base_url), "policies: [{name: default, safe_model: large}]\n")
    key = spillway("keys", "create", "app", folder=folder).stdout.strip()
    assert key.startswith("sk-spw-")
    lines: list[str] = []
    with served(folder) as (process, url):
        yield url, key, lines
        process.terminate()
        lines += "".join(process.stderr or ()).splitlines()


async def spoken(url: str, request: bytes) -> bytes:
    """What comes back for these very bytes."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(65536), 20)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_hostile_values_forge_no_header_and_no_log_line(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("fine"))
        with gateway(tmp_path, upstream.base_url) as (url, key, lines):
            async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}) as http:
                for value in HOSTILE:
                    text = json.dumps(value)
                    for body in (
                        f'{{"model": {text}, "messages": [{{"role": "user", "content": "x"}}]}}',
                        f'{{"model": "auto", "messages": [{{"role": {text}, "content": "x"}}]}}',
                        f'{{"model": "auto", "messages": [{{"role": "user", "content": {text}}}], "user": {text}}}',
                        f'{{"model": "auto", "messages": {json.dumps(HELLO)}, "spillway": {{"policy": {text}}}}}',
                        f'{{"model": "auto", "messages": {json.dumps(HELLO)}, "spillway": {{"tags": {{{text}: 1}}}}}}',
                        f'{{"model": "auto", "messages": {json.dumps(HELLO)}, {text}: 1}}',
                    ):
                        response = await http.post("/v1/chat/completions", content=body.encode())
                        assert response.status_code < 500, (value, body)
                        assert "x-evil" not in response.headers
                        assert "\x1b" not in str(response.headers)
                    path = httpx.URL(f"{url}/v1/decisions/").join(value.encode("utf-8", "surrogatepass").hex())
                    assert (await http.get(path)).status_code == 404
                assert (await http.get("/v1/models%0d%0ax-evil:%201/%1b%5b31m")).status_code == 404
            for header in (b"x-request-id: a\x1b[31m", b"user-agent: \x1b[2J", b"x-spillway-tags: a=\x1b[31m"):
                request = (
                    b"GET /v1/models HTTP/1.1\r\nhost: x\r\n" + header + b"\r\nauthorization: Bearer " + key.encode()
                )
                answered = await spoken(url, request + b"\r\nconnection: close\r\n\r\n")
                assert answered.startswith(b"HTTP/1.1 ")
                assert b"\x1b" not in answered
    assert lines
    for line in lines:
        assert json.loads(line)["message"] != "forged"
        assert "\x1b" not in line


async def test_an_upstream_forges_nothing_either(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(raw(b'{"error": {"message": "a\\r\\nx-evil: 1\\u001b[31m"}}', code=400))
        with gateway(tmp_path, upstream.base_url) as (url, key, lines):
            async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}) as http:
                response = await http.post("/v1/chat/completions", json={"model": "auto", "messages": HELLO})
                assert "x-evil" not in response.headers
    assert all(json.loads(line) and "\x1b" not in line for line in lines)


@pytest.mark.parametrize("size", [100_000, 20_000_000])
async def test_headers_without_end_are_cut_off(size: int, tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("fine"))
        with gateway(tmp_path, upstream.base_url) as (url, key, _):
            one = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * size + b"\r\nconnection: close\r\n\r\n"
            many = b"GET /v1/models HTTP/1.1\r\n" + b"x-many: b\r\n" * (size // 11) + b"connection: close\r\n\r\n"
            for request in (one, many):
                answered = await spoken(url, request)
                assert answered == b"" or answered.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answered[:80]
            async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}) as http:
                assert (await http.get("/v1/models")).status_code == 200
