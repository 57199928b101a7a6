"""Bearer keys lead to callers; without keys only this machine's own programs are heard."""

import pytest

from gateway.auth import ANONYMOUS, Authenticator
from gateway.errors import InvalidKey
from gateway.keys import Caller

ANNE = Caller(tenant_id="t", key_id="key_1", name="anne")


class OneKey:
    async def find(self, secret: str) -> Caller | None:
        return ANNE if secret == "sk-spw-right" else None


@pytest.mark.parametrize("header", ["Bearer sk-spw-right", "bearer sk-spw-right", "BEARER  sk-spw-right "])
async def test_a_known_key_leads_to_its_caller(header: str) -> None:
    assert await Authenticator(OneKey()).caller(header) == ANNE


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "sk-spw-right", "Basic sk-spw-right", "Bearer x"])
async def test_anything_else_is_refused_without_repeating_it(header: str | None) -> None:
    with pytest.raises(InvalidKey) as caught:
        await Authenticator(OneKey()).caller(header)
    assert caught.value.status == 401
    assert "sk-spw-right" not in caught.value.message


@pytest.mark.parametrize("origin", [None, "http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080"])
async def test_without_keys_everybody_here_is_the_same_tenant(origin: str | None) -> None:
    assert await Authenticator(None).caller(None, origin) is ANONYMOUS


@pytest.mark.parametrize("origin", ["https://example.com", "null", "", "http://127.0.0.1.example.com", "http://["])
async def test_without_keys_pages_from_elsewhere_are_refused(origin: str) -> None:
    with pytest.raises(InvalidKey):
        await Authenticator(None).caller("Bearer x", origin)
