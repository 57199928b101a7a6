"""Which addresses may be called on behalf of a tenant or a request, and a client that calls no other.

A URL that somebody else wrote can name the metadata service of the cloud, the database next door or this very process.
Here names are resolved first, every address they have must be public or expressly allowed, and the connection goes to
an address that was checked, not to what a second look-up says. Redirects are not followed, proxies of the environment
are not used. Knows no webhook and no picture: those who call say what is sent.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from router.errors import EgressFailed, EgressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_AZURE_HOST = ipaddress.ip_address("168.63.129.16")  # public by its number, but every Azure machine's own host
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_MOST_BYTES = 1024 * 1024


class Egress:
    """The guard.

    allowed_networks : networks that may be called although they are not public.
    """

    def __init__(self, allowed_networks: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed_networks)

    async def check(self, url: str) -> None:
        """Return if a URL leads only where calls may go. Raises EgressRefused, saying what is wrong with it."""
        host, port = _parts(url)
        await self._addresses(host, port)

    async def post_json(
        self,
        url: str,
        body: Any,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        most_bytes: int = _MOST_BYTES,
    ) -> tuple[int, bytes]:
        """POST a JSON body; the answer's status, a redirect's too, and its bytes.

        Raises EgressRefused where the URL leads elsewhere than it may, EgressFailed where no whole answer came in time.
        """
        payload = body if isinstance(body, bytes) else orjson.dumps(body)
        sent = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "spillway"}
        try:
            async with asyncio.timeout(timeout_s):
                await self.check(url)  # an address as such passes the connector's resolver by
                connector = aiohttp.TCPConnector(resolver=_Checked(self), use_dns_cache=False, force_close=True)
                async with (
                    aiohttp.ClientSession(
                        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
                    ) as session,
                    session.post(
                        url, data=payload, headers=sent | dict(headers or {}), allow_redirects=False
                    ) as answer,
                ):
                    return answer.status, await _bounded(answer.content, most_bytes)
        except TimeoutError as error:
            raise EgressFailed(f"{_shown(url)} did not answer within {timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EgressFailed(f"{_shown(url)} cannot be called: {type(error).__name__}") from error

    def allows(self, address: Address) -> bool:
        """Whether an address may be called."""
        inner = _inner(address)
        if any(address in network or inner in network for network in self._allowed):
            return True
        return all(one.is_global and not one.is_multicast and one != _AZURE_HOST for one in (address, inner))

    async def _addresses(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> list[tuple[int, str]]:
        """All addresses of a host, with their families. Raises EgressRefused if one of them may not be called."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, family=family, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
        except (OSError, UnicodeError) as error:
            raise EgressRefused(f"the host {host:.253} has no address that could be checked") from error
        addresses = [(int(kind), str(place[0])) for kind, _, _, _, place in found]
        for _, address in addresses:
            if not self.allows(ipaddress.ip_address(address.partition("%")[0])):
                raise EgressRefused(
                    f"the host {host:.253} is not in the public network, and not in one that is allowed"
                )
        return addresses


class _Checked:
    """What aiohttp asks for a name's addresses: they are checked, and the connection goes to just these."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": kind,
                "proto": socket.IPPROTO_TCP,
                "flags": socket.AI_NUMERICHOST,
            }
            for kind, address in await self._egress._addresses(host, port, family)  # noqa: SLF001  one mechanism
        ]

    async def close(self) -> None:
        """There is nothing to let go of."""


def _parts(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise EgressRefused("the URL cannot be read") from error
    if parts.scheme not in ("http", "https"):
        raise EgressRefused("the URL must begin with http:// or https://")
    if not host:
        raise EgressRefused("the URL names no host")
    if parts.username is not None or parts.password is not None:
        raise EgressRefused("the URL must hold no credentials")
    return host, port or (443 if parts.scheme == "https" else 80)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it stands for one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    teredo = address.teredo
    if teredo is not None:
        return teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _shown(url: str) -> str:
    """A URL for a message: without its path and query, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


async def _bounded(content: Any, most: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in content.iter_any():
        size += len(piece)
        if size > most:
            raise ValueError(f"more than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces)
