"""Everything that goes wrong has OpenAI's error shape, says what would be right, and leaves the gateway serving."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.keys import KeyStore
from tests.gateway_server import HELLO, OBSERVING, Running, models, serving
from tests.upstream import BadUpstream, Behaviour, answer, die, empty_choices, hang, nobody_there, raw, status

CHAT = "/v1/chat/completions"


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error object, whose shape is the same everywhere."""
    (name, error), *others = response.json().items()
    assert (name, others) == ("error", [])
    assert set(error) == {"message", "type", "param", "code"}
    assert response.headers["x-request-id"]
    assert "Traceback" not in response.text
    told: dict[str, Any] = error
    return told


async def still_serves(gateway: Running) -> None:
    assert (await gateway.chat()).status_code == 200


BODIES: list[tuple[bytes, str | None, str]] = [
    (b'{"model": "auto", "messages": [', None, "not valid JSON"),
    (b"", None, "not valid JSON"),
    (b'{"model": "auto"} {}', None, "not valid JSON"),
    (b"[" * 5000, None, "not valid JSON"),
    (b'{"model": NaN}', None, "not valid JSON"),
    (b'{"model": "\xff"}', None, "not valid JSON"),
    (b"[]", None, "must be a JSON object"),
    (b'"auto"', None, "must be a JSON object"),
    (b"{}", "model", "is required"),
    (b'{"model": 3, "messages": []}', "model", "is required"),
    (b'{"model": "", "messages": []}', "model", "is required"),
    (b'{"model": "auto"}', "messages", "at least one message"),
    (b'{"model": "auto", "messages": []}', "messages", "at least one message"),
    (b'{"model": "auto", "messages": "hi"}', "messages", "at least one message"),
    (b'{"model": "auto", "messages": ["hi"]}', "messages[0]", "an object"),
    (b'{"model": "auto", "messages": [{"content": "x"}]}', "messages[0].role", "must be one of system"),
    (b'{"model": "auto", "messages": [{"role": "robot"}]}', "messages[0].role", "must be one of system"),
    (b'{"model": "auto", "messages": [{"role": ["user"]}]}', "messages[0].role", "must be one of system"),
    (b'{"model": "auto", "messages": [{"role": "user"}]}', "messages[0].content", "is required"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": 7}]}', "messages[0].content", "a string or"),
    (b'{"model": "auto", "messages": [{"role": "user", "content": [7]}]}', "messages[0].content[0]", "with a type"),
]
FIELDS: list[tuple[str, Any, str]] = [
    ("temperature", "hot", "a number"),
    ("temperature", True, "a number"),
    ("n", 0, "from 1 to 128"),
    ("n", 1.5, "from 1 to 128"),
    ("max_tokens", -1, "at least 1"),
    ("max_completion_tokens", "many", "at least 1"),
    ("stream", "yes", "true or false"),
    ("stream_options", {"include_usage": True}, "only allowed when stream is true"),
    ("stop", [1], "list of strings"),
    ("tools", {}, "list of objects"),
    ("tools", [{}], "with a type"),
    ("response_format", "json", "an object"),
    ("logprobs", 1, "true or false"),
    ("seed", "x", "an integer"),
    ("user", 3, "a string"),
]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway whose only upstream answers."""
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as running:
        yield running


async def test_bad_bodies_are_refused_by_name(gateway: Running) -> None:
    for body, param, message in BODIES:
        response = await gateway.http.post(CHAT, content=body)
        error = error_of(response)
        assert response.status_code == 400, (body, error)
        assert (error["type"], error["param"]) == ("invalid_request_error", param), body
        assert message in error["message"], (body, error)
    await still_serves(gateway)


async def test_fields_of_a_wrong_type_are_refused_by_name(gateway: Running) -> None:
    for name, value, message in FIELDS:
        response = await gateway.chat(**{name: value})
        error = error_of(response)
        assert (response.status_code, error["param"]) == (400, name), error
        assert message in error["message"], error
    await still_serves(gateway)


async def test_fields_that_are_null_count_as_absent(gateway: Running) -> None:
    nothing: dict[str, Any] = dict.fromkeys(
        ["temperature", "n", "stream", "stream_options", "tools", "stop", "response_format"]
    )
    assert (await gateway.chat(**nothing)).status_code == 200


@pytest.mark.parametrize("model", ["gpt-99", "cascade/none", "cascade/", "AUTO", "default", "a\r\nx-evil: 1"])
async def test_an_unknown_model_is_told_what_there_is(gateway: Running, model: str) -> None:
    response = await gateway.chat(model)
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "auto, cascade/default, large" in error["message"]
    with pytest.raises(openai.NotFoundError):
        await gateway.client().chat.completions.create(model=model, messages=HELLO)


async def test_a_name_that_is_none_is_not_repeated_at_length(gateway: Running) -> None:
    assert len((await gateway.chat("n" * 1_000_000)).content) < 1000


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(gateway: Running) -> None:
    huge = b'{"model": "auto", "messages": [{"role": "user", "content": "' + b"x" * 20_000_000 + b'"}]}'

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(huge), 1_000_000):
            yield huge[start : start + 1_000_000]

    for content in (huge, in_pieces()):
        response = await gateway.http.post(CHAT, content=content)
        assert (response.status_code, error_of(response)["code"]) == (413, "request_too_large")
        assert "16777216 bytes" in error_of(response)["message"]
    await still_serves(gateway)


async def test_keys_are_required_known_and_live(gateway: Running) -> None:
    store = KeyStore(gateway.database)
    info, revoked = await store.create("gone")
    await store.revoke(info.key_id)
    headers = [
        {"authorization": value} for value in ("", "Bearer", "Basic eDp5", "Bearer sk-spw-x", f"Bearer {revoked}")
    ]
    for path in (CHAT, "/v1/models", "/v1/models/large", "/v1/decisions/dec_1"):
        for header in headers:
            method = "POST" if path == CHAT else "GET"
            response = await gateway.http.request(method, path, headers=header)
            assert (response.status_code, error_of(response)["code"]) == (401, "invalid_api_key"), (path, header)
            assert response.headers["www-authenticate"] == "Bearer"
            assert revoked not in response.text
    with pytest.raises(openai.AuthenticationError):
        await gateway.client(api_key="sk-spw-wrong").models.list()


async def test_unknown_paths_and_methods_have_the_same_shape(gateway: Running) -> None:
    response = await gateway.http.get("/v1/nothing")
    assert (response.status_code, error_of(response)["code"]) == (404, "unknown_url")
    for method, path in (("GET", CHAT), ("DELETE", CHAT), ("POST", "/v1/models"), ("PUT", "/healthz")):
        response = await gateway.http.request(method, path)
        assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed"), (method, path)
        assert response.headers["allow"]


FAILURES: list[tuple[Behaviour, int, str, bool]] = [  # whether a client may try again without paying twice
    (status(400, "context too long"), 400, "upstream_refused", True),
    (status(401, "bad key sk-abcdef0123456789"), 502, "upstream_unauthorized", False),
    (status(429, "slow down", retry_after="0"), 503, "upstream_busy", True),
    (status(500), 502, "upstream_failed", False),
    (raw(b"<html>", content_type="text/html"), 502, "upstream_failed", False),
    (raw(b'{"id": 1'), 502, "upstream_failed", False),
    (empty_choices(), 502, "upstream_failed", False),
    (die("after_headers"), 502, "upstream_failed", False),
    (hang("before_headers"), 504, "upstream_timeout", False),
]


@pytest.mark.parametrize(("behaviour", "code", "word", "again"), FAILURES)
async def test_a_failing_upstream_is_told_in_status_and_code(
    tmp_path: Path, behaviour: Behaviour, code: int, word: str, again: bool
) -> None:
    async with BadUpstream() as upstream:
        upstream.will(behaviour)
        section = models(large=upstream.base_url, extra="timeout_s: 1.5")
        async with serving(tmp_path, section, OBSERVING) as gateway:
            response = await gateway.chat()
            assert (response.status_code, error_of(response)["code"]) == (code, word)
            assert ("x-should-retry" not in response.headers) is again
            assert "sk-abcdef" not in response.text
            assert (await gateway.closed(response.headers["x-request-id"])).status == "failed"
            upstream.will(answer("back again"))
            await still_serves(gateway)


async def test_an_upstream_that_is_not_there_may_be_tried_again(tmp_path: Path) -> None:
    async with serving(tmp_path, models(large=nobody_there()), OBSERVING) as gateway:
        response = await gateway.chat()
        assert (response.status_code, error_of(response)["code"]) == (502, "upstream_unreachable")
        assert "x-should-retry" not in response.headers


async def test_a_busy_upstream_says_when_to_come_back(tmp_path: Path) -> None:
    async with BadUpstream() as upstream, serving(tmp_path, models(large=upstream.base_url), OBSERVING) as gateway:
        upstream.will(status(429, retry_after="17"))
        response = await gateway.chat()
        assert response.status_code == 503
        assert response.headers["retry-after"] == "17"


async def test_a_defect_is_an_error_without_its_insides(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("the secret inside")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.policies.PolicyBook.choose", broken)
        for stream in (False, True):
            response = await gateway.chat(stream=stream)
            assert (response.status_code, error_of(response)["code"]) == (500, "internal_error")
            assert "secret inside" not in response.text
    await still_serves(gateway)
