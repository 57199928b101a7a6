"""What a request may wish for, and what it may not, by bare HTTP."""

from pathlib import Path
from typing import Any

import pytest

from gateway.keys import KeyRules, KeyStore
from tests.gateway_server import CASCADE, HELLO, OBSERVING, models, serving
from tests.upstream import BadUpstream, answer, hang


async def test_a_request_says_how_long_it_waits_and_not_where_it_goes(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        body = {"model": "auto", "messages": HELLO}
        upstream.will(answer())
        for timeout in ("soon", "0", "-1", "nan", "inf"):
            refused = await gateway.http.post("/v1/chat/completions", json=body, headers={"x-request-timeout": timeout})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "x-request-timeout")
        refused = await gateway.chat(provider={"options": [{"api_base": "http://169.254.169.254/"}]})
        assert refused.json()["error"]["param"] == "provider.options[0].api_base"
        picture = [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}]
        refused = await gateway.chat(messages=[{"role": "user", "content": picture}])
        assert refused.json()["error"]["code"] == "image_url_not_allowed"
        assert upstream.asked == []

        upstream.will(hang("before_headers"))
        late = await gateway.http.post("/v1/chat/completions", json=body, headers={"x-request-timeout": "0.3"})
        assert (late.status_code, late.json()["error"]["code"]) == (504, "upstream_timeout")
        assert 0 < float(upstream.asked[0].headers["x-request-timeout"]) <= 0.3
        await upstream.asked[0].hung_up.wait()


PATHS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 100},
    "/v1/completions": {"prompt": "hello"},
}


@pytest.mark.parametrize("path", PATHS)
async def test_wishes_hold_in_every_dialect_and_reach_no_model(tmp_path: Path, path: str) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        config = models(small=small.base_url, large=large.base_url) + CASCADE
        async with serving(tmp_path, config, threshold=0.5) as gateway:
            small.will(answer("0.6"))
            large.will(answer("0.9"))
            body = {"model": "auto", "spillway": {"quality": 0.7, "tags": {"feature": "search"}}} | PATHS[path]
            found = await gateway.http.post(path, json=body)
            assert (found.status_code, found.headers["x-spillway-model"]) == (200, "large")
            assert all("spillway" not in asked.body for asked in (*small.asked, *large.asked))
            told = await gateway.decision(found)
            assert told["tags"] == {"feature": "search", "spillway.quality": "0.7"}
            bounded = await gateway.http.post(path, json=body | {"spillway": {"max_tier": 1}})
            assert bounded.headers["x-spillway-model"] == "small"
            wrong = await gateway.http.post(path, json=body | {"spillway": {"quality": 2}})
            assert wrong.status_code == 400
            assert "spillway.quality" in wrong.text


async def test_max_cost_is_kept_by_what_calls_could_cost(tmp_path: Path) -> None:
    """A call of small with 100 tokens can cost 0.001631 USD at most. It costs less, and then large does not fit."""
    async with BadUpstream() as small, BadUpstream() as large:
        config = models(small=small.base_url, large=large.base_url) + CASCADE
        async with serving(tmp_path, config, threshold=0.8) as gateway:
            small.will(answer("0.6"))
            large.will(answer("0.9"))
            dear = await gateway.chat(max_tokens=100, spillway={"max_cost_usd": 0.0001})
            assert (dear.status_code, dear.json()["error"]["code"]) == (400, "max_cost_exceeded")
            assert small.asked == large.asked == []
            cut = await gateway.chat(max_tokens=100, spillway={"max_cost_usd": "0.00165"})
            assert (cut.headers["x-spillway-model"], cut.headers["x-spillway-stop-reason"]) == (
                "small",
                "budget_exhausted",
            )
            assert (len(small.asked), large.asked) == (1, [])
            whole = await gateway.chat(max_tokens=100, spillway={"max_cost_usd": 1})
            assert whole.headers["x-spillway-model"] == "large"


async def test_a_key_clamps_what_may_be_spent_and_says_so(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer())
        rules = KeyRules(max_cost_nanousd=10_000_000, models=("auto", "large"))
        _, key = await KeyStore(gateway.database).create("poor", rules=rules)
        gateway.http.headers["authorization"] = f"Bearer {key}"
        rich = await gateway.chat(max_tokens=100, spillway={"max_cost_usd": 5})
        assert (rich.status_code, rich.headers["x-spillway-clamped"]) == (200, "max_cost_usd=0.01")
        modest = await gateway.chat(max_tokens=100, spillway={"max_cost_usd": 0.005})
        assert (modest.status_code, "x-spillway-clamped" in modest.headers) == (200, False)
        over = await gateway.chat(max_tokens=2000, spillway={"max_cost_usd": 5})
        assert over.json()["error"]["code"] == "max_cost_exceeded"


async def test_wishing_for_a_policy_opens_no_door(tmp_path: Path) -> None:
    policies = "policies: [{name: cheap, safe_model: large}, {name: dear, safe_model: large}]\ndefault_policy: cheap\n"
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), policies) as gateway:
        upstream.will(answer())
        assert (await gateway.chat(spillway={"policy": "dear"})).headers["x-spillway-policy"] == "dear"
        _, key = await KeyStore(gateway.database).create("one", rules=KeyRules(models=("auto",)))
        gateway.http.headers["authorization"] = f"Bearer {key}"
        refused = await gateway.chat(spillway={"policy": "dear"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_permitted")
        assert (await gateway.chat()).status_code == 200
        unknown = await gateway.chat(spillway={"policy": "none"})
        assert unknown.json()["error"]["code"] == "model_not_found"


async def test_cache_control_of_a_request(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(answer("0.9"))

        async def asked(wish: str | None) -> tuple[int, str | None]:
            more: dict[str, Any] = {} if wish is None else {"spillway": {"cache_control": wish}}
            found = await gateway.chat(temperature=0, **more)
            return found.status_code, found.headers.get("x-spillway-cache")

        assert await asked("only-if-cached") == (504, None)
        assert upstream.asked == []
        assert await asked("no-store") == (200, "MISS")
        assert await asked(None) == (200, "MISS")
        assert await asked(None) == (200, "HIT")
        assert await asked("only-if-cached, max-age=60") == (200, "HIT")
        assert await asked("no-cache") == (200, "MISS")
        assert await asked("max-age=0") == (200, "MISS")
        assert len(upstream.asked) == 4
