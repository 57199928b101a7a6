"""What a tenant leaves in an engine's prompt cache no other tenant finds; who is no such engine is told nothing."""

import asyncio
from pathlib import Path

from gateway.keys import KeyStore
from tests.experts import expert
from tests.gateway_server import OBSERVING, Running, serving
from tests.probed import known, pool
from tests.upstream import BadUpstream


async def salts(gateway: Running, upstream: BadUpstream, model: str = "auto", **fields: str) -> list[str | None]:
    """What the upstream was told with one request of each of two tenants."""
    _, other = await KeyStore(gateway.database).create("another", tenant_id="another")
    seen = []
    for key in (gateway.key, other):
        before = len(upstream.asked)
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8, **fields}
        answered = await gateway.http.post(
            "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
        )
        assert answered.status_code == 200, answered.text
        (asked,) = [asked for asked in upstream.asked[before:] if asked.path.endswith("/chat/completions")]
        seen.append(asked.body.get("cache_salt"))
    return seen


async def until_salted(gateway: Running, upstream: BadUpstream) -> None:
    async with asyncio.timeout(20):  # until the gateway has read what it found
        while (await salts(gateway, upstream))[0] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_each_tenant_has_its_own_in_vllm(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(expert())
        models = "cache: {enabled: false}\nmodels:\n" + pool("large", upstream.base_url, ", probe: true")
        async with serving(tmp_path, models, OBSERVING) as gateway:
            await known(gateway, "large", set())
            await until_salted(gateway, upstream)
            one, other = await salts(gateway, upstream)
            assert one and other and one != other  # noqa: PT018
            assert await salts(gateway, upstream) == [one, other]  # else nothing would ever be found again
            assert "default" not in one
            finer = await salts(gateway, upstream, cache_salt="mine")
            assert len({one, other, *finer, "mine"}) == 5


async def test_nobody_but_vllm_is_told_one(tmp_path: Path) -> None:
    async with BadUpstream() as sglang, BadUpstream() as plain, BadUpstream() as off:
        sglang.will(expert(engine="sglang"))
        plain.will(expert())  # hosted by others: nobody looks at what it is
        off.will(expert())
        models = "cache: {enabled: false}\nmodels:\n" + pool("large", sglang.base_url, ", probe: true")
        models += pool("plain", plain.base_url) + pool("quiet", off.base_url, ", probe: true, cache_salt: false")
        models += f"  - {{name: openai/gpt-4o-mini, backend: hosted, api_key: sk-x, base_url: '{plain.base_url}'}}\n"
        async with serving(tmp_path, models, OBSERVING) as gateway:
            await known(gateway, "large", set())
            await known(gateway, "quiet", set())
            plain.will(expert(serves="gpt-4o-mini"))
            assert await salts(gateway, plain, "openai/gpt-4o-mini") == [None, None]
            plain.will(expert())
            for upstream, model in ((sglang, "large"), (plain, "plain"), (off, "quiet")):
                assert await salts(gateway, upstream, model) == [None, None], model
