"""What a request must not contain, whichever dialect it came in: words that redirect calls, too many parts, URLs of
pictures that lead into somebody's network.

Some providers' clients and servers read a base URL or a credential out of any nested parameter, and those who serve
models fetch the pictures that a request names. Knows a chat completion's body. Calls nothing but the name service.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.errors import InvalidRequest
from router.egress import Egress
from router.errors import EgressRefused

ImageUrls = Literal["public", "any", "none"]

_REDIRECTS = frozenset(
    {
        *(
            "api_base",
            "base_url",
            "api_key",
            "api_keys",
            "api_type",
            "azure_endpoint",
            "azure_ad_token",
            "endpoint_url",
        ),
        *("extra_headers", "default_headers", "http_client", "proxies", "proxy", "custom_llm_provider", "organization"),
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_bedrock_runtime_endpoint"),
        *("aws_profile_name", "aws_role_name", "aws_web_identity_token", "vertex_credentials", "vertex_project"),
        *("watsonx_url", "litellm_params", "model_list", "mock_response", "callbacks", "ssl_verify"),
    }
)
_FREE = frozenset({"messages", "metadata", "parameters", "input_schema", "schema", "logit_bias", "prompt", "arguments"})
"""What is under these is the client's own content: a tool may well have a parameter called api_key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """The limits. image_urls : which pictures may be named by URL; those in the request itself always may."""

    max_messages: int
    max_images: int
    image_urls: ImageUrls
    egress: Egress

    async def screen(self, body: Mapping[str, Any]) -> None:
        """Return if a body may be passed on. Raises InvalidRequest naming the field at fault."""
        for path in _redirects(body, ""):
            said = f"{path} is not taken from requests: where models run is the operator's to say."
            raise InvalidRequest(said, param=path, code="parameter_not_allowed")
        messages = body.get("messages") or ()
        if len(messages) > self.max_messages:
            said = f"messages has {len(messages)} entries; at most {self.max_messages} are taken."
            raise InvalidRequest(said, param="messages", code="too_many_messages")
        images = list(_images(messages))
        if len(images) > self.max_images:
            said = f"messages hold {len(images)} images; at most {self.max_images} are taken."
            raise InvalidRequest(said, param="messages", code="too_many_images")
        for path, url in images:
            await self._check(path, url)

    async def _check(self, path: str, url: str) -> None:
        if url[:5].lower() == "data:" or self.image_urls == "any":
            return
        if self.image_urls == "none":
            said = f"{path} must be a data: URL; pictures elsewhere are not fetched here."
            raise InvalidRequest(said, param=path, code="image_url_not_allowed")
        try:
            await self.egress.check(url)
        except EgressRefused as error:
            raise InvalidRequest(f"{path}: {error}.", param=path, code="image_url_not_allowed") from error


def _redirects(value: Any, path: str) -> Iterator[str]:
    """Every place, however deep, where a call's destination or credential would be said."""
    waiting: list[tuple[Any, str]] = [(value, path)]
    while waiting:
        item, where = waiting.pop()
        if isinstance(item, Mapping):
            for name, inner in item.items():
                place = f"{where}.{name}" if where else str(name)
                if str(name).lower().replace("-", "_") in _REDIRECTS and inner is not None:
                    yield place
                elif name not in _FREE:
                    waiting.append((inner, place))
        elif isinstance(item, list | tuple):
            waiting.extend((inner, f"{where}[{n}]") for n, inner in enumerate(item))


def _images(messages: Any) -> Iterator[tuple[str, str]]:
    for n, message in enumerate(messages):
        content = message.get("content") if isinstance(message, Mapping) else None
        for k, part in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(part, Mapping) or part.get("type") != "image_url":
                continue
            image = part.get("image_url")
            url = image.get("url") if isinstance(image, Mapping) else image
            if isinstance(url, str):
                yield f"messages[{n}].content[{k}].image_url", url
