"""No request says where it is to be sent, brings more than is taken, or has pictures fetched from within."""

from typing import Any

import pytest

from gateway.errors import InvalidRequest
from gateway.screening import ImageUrls, Screening
from router.egress import Egress


def screening(image_urls: ImageUrls = "public") -> Screening:
    return Screening(max_messages=3, max_images=2, image_urls=image_urls, egress=Egress())


def picture(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"api_base": "http://evil"}, "api_base"),
        ({"Base-URL": "http://evil"}, "Base-URL"),
        ({"extra_body": {"provider": [{"x": {"api_key": "sk"}}]}}, "extra_body.provider[0].x.api_key"),
        ({"web_search_options": {"extra_headers": {}}}, "web_search_options.extra_headers"),
        ({"tools": [{"type": "x", "server": {"base_url": "http://evil"}}]}, "tools[0].server.base_url"),
    ],
)
async def test_destinations_and_credentials_are_refused_however_deep(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await screening().screen(body)
    assert (raised.value.param, raised.value.code) == (param, "parameter_not_allowed")
    assert "evil" not in raised.value.message


async def test_a_clients_own_content_may_use_any_word() -> None:
    schema = {"type": "object", "properties": {"api_key": {"type": "string"}, "base_url": {"type": "string"}}}
    await screening().screen(
        {
            "messages": [{"role": "user", "content": "my api_key"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
            "metadata": {"api_key": "which one"},
            "api_key": None,
        }
    )


async def test_a_deep_body_is_no_harm() -> None:
    body: dict[str, Any] = {}
    for _ in range(100_000):
        body = {"x": body}
    await screening().screen(body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"messages": [{"role": "user", "content": "x"}] * 4}, "too_many_messages"),
        ({"messages": [picture("data:image/png;base64,AA==")] * 3}, "too_many_images"),
        ({"messages": [picture("http://169.254.169.254/latest")]}, "image_url_not_allowed"),
        ({"messages": [picture("http://localhost:6379/")]}, "image_url_not_allowed"),
        ({"messages": [picture("file:///etc/passwd")]}, "image_url_not_allowed"),
        ({"messages": [picture("gopher://x")]}, "image_url_not_allowed"),
    ],
)
async def test_what_is_too_much_or_leads_within_is_refused(body: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await screening().screen(body)
    assert raised.value.code == code


async def test_pictures_that_are_public_or_in_the_request_pass() -> None:
    await screening().screen({"messages": [picture("https://8.8.8.8/x.png"), picture("data:image/png;base64,AA==")]})
    await screening("any").screen({"messages": [picture("http://10.0.0.1/x.png")]})
    with pytest.raises(InvalidRequest):
        await screening("none").screen({"messages": [picture("https://8.8.8.8/x.png")]})
