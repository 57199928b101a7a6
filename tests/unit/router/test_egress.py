"""Only public addresses are called, whatever the URL is written like, and no look-up between check and connection."""

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.egress import Egress
from router.errors import EgressFailed, EgressRefused
from tests.upstream import BadUpstream, hang, huge, raw

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://localhost:6379/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:7f00:1::]/",
        "http://169.254.169.254/latest/meta-data",
        "http://168.63.129.16/metadata",
        "http://100.100.100.200/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://172.16.0.1/",
        "http://0.0.0.0/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1%25lo]/",
        "http://224.0.0.1/",
        "https://user:pw@example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//example.com",
        "http://",
        "http://[::1",
        "http://no-such-host.invalid/",
        "http://a..b/",
        "http://" + "a" * 300 + "/",
    ],
)
async def test_what_may_not_be_called(url: str) -> None:
    with pytest.raises(EgressRefused):
        await Egress().check(url)
    with pytest.raises(EgressRefused):
        await Egress().post_json(url, {}, timeout_s=5)


@pytest.mark.parametrize("url", ["http://8.8.8.8/", "https://[2606:4700::1111]:8443/x"])
async def test_public_addresses_may_be_called(url: str) -> None:
    await Egress().check(url)


@given(st.ip_addresses())
def test_no_address_that_is_not_public_is_allowed_and_none_inside_another(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    egress = Egress()
    assert not egress.allows(address) or address.is_global
    if isinstance(address, ipaddress.IPv4Address) and not address.is_global:
        for shell in (f"::ffff:{address}", f"64:ff9b::{address}"):
            assert not egress.allows(ipaddress.ip_address(shell))


async def test_an_allowed_network_may_be_called_and_its_answer_is_read() -> None:
    async with BadUpstream() as upstream:
        url = upstream.base_url + "/hook"
        status, body = await Egress(LOOPBACK).post_json(url, {"a": 1}, timeout_s=5, headers={"x-signature": "s"})
        assert (status, b"hello there" in body) == (200, True)
        assert upstream.asked[0].body == {"a": 1}
        assert upstream.asked[0].headers["x-signature"] == "s"


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async with BadUpstream() as upstream:
        upstream.will(raw(b"", headers={"location": "http://169.254.169.254/"}, code=307))
        status, _ = await Egress(LOOPBACK).post_json(upstream.base_url, {}, timeout_s=5)
        assert (status, len(upstream.asked)) == (307, 1)


async def test_silence_and_floods_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async with BadUpstream() as upstream:
        upstream.will(hang("before_headers"))
        with pytest.raises(EgressFailed, match=r"within 0\.1 s"):
            await Egress(LOOPBACK).post_json(upstream.base_url + "/secret", {}, timeout_s=0.1)
        upstream.will(huge(4096))
        with pytest.raises(EgressFailed) as raised:
            await Egress(LOOPBACK).post_json(upstream.base_url + "/secret", {}, timeout_s=5, most_bytes=1024)
        assert "secret" not in str(raised.value)


async def test_a_name_that_changes_its_address_after_the_check_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    answers = iter(["93.184.216.34", "127.0.0.1"])

    async def rebinding(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding, raising=False)
    with pytest.raises(EgressRefused):
        await Egress().post_json("http://rebinding.example/", {}, timeout_s=5)
