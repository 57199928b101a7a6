"""What a request may wish for, and what it may not, by bare HTTP."""

from pathlib import Path

from tests.gateway_server import HELLO, OBSERVING, models, serving
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
