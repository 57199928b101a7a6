"""What a server says of itself, for nothing: its models, its context length, its metrics, its tokenizer.

Knows the paths and names of vLLM, SGLang and llama.cpp, in their older forms too. Raises nothing: who does not say is
not known.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from router.experts.findings import Looks

_MOST_BYTES = 4 * 1024 * 1024
_ENGINES = (
    ("vllm", re.compile(rb"^vllm[:_]", re.MULTILINE)),
    ("sglang", re.compile(rb"^sglang[:_]", re.MULTILINE)),
    ("llama.cpp", re.compile(rb"^llamacpp[:_]", re.MULTILINE)),
    ("tgi", re.compile(rb"^tgi_", re.MULTILINE)),
)
_OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp"}  # of the models that they list
_PROBE_TEXT = "one two three"


class Looker:
    """Looks at one server.   base_url : the API's root, such as ``http://host:8000/v1``.   headers : its credential."""

    def __init__(self, base_url: str, headers: Mapping[str, str], *, timeout_s: float = 5.0) -> None:
        self._base = base_url.rstrip("/")
        self._root = re.sub(r"/v\d+$", "", self._base)
        self._headers, self._timeout_s = dict(headers), timeout_s

    async def look(self, upstream_model: str) -> Looks:
        """Everything that it says."""
        async with aiohttp.ClientSession(headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()) as session:
            listed, engine, properties, tokenizes = await asyncio.gather(
                self._json(session, f"{self._base}/models"),
                self._engine(session),
                self._json(session, f"{self._root}/props"),
                self._tokenizes(session, upstream_model),
            )
        models = _models(listed)
        mine = next((model for model in models if model.get("id") == upstream_model), models[0] if models else {})
        return Looks(
            engine=engine or _OWNERS.get(str(mine.get("owned_by"))),
            serves=None if listed is None else tuple(str(model.get("id")) for model in models),
            context_tokens=_context(mine, properties),
            tokenizes=tokenizes,
        )

    async def metrics(self) -> bytes | None:
        """Its metrics in Prometheus' text format, None where it has none."""
        async with aiohttp.ClientSession(headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()) as session:
            return await self._read(session, "GET", f"{self._root}/metrics")

    async def _engine(self, session: aiohttp.ClientSession) -> str | None:
        told = await self._read(session, "GET", f"{self._root}/metrics")
        return next((name for name, pattern in _ENGINES if pattern.search(told)), None) if told is not None else None

    async def _tokenizes(self, session: aiohttp.ClientSession, upstream_model: str) -> bool:
        asked = {"model": upstream_model, "prompt": _PROBE_TEXT, "content": _PROBE_TEXT}  # vLLM's word, and llama.cpp's
        told = _object(await self._read(session, "POST", f"{self._root}/tokenize", asked))
        count, tokens = told.get("count"), told.get("tokens")
        return (isinstance(count, int) and count >= 2) or (isinstance(tokens, list) and len(tokens) >= 2)

    async def _json(self, session: aiohttp.ClientSession, url: str) -> Mapping[str, Any] | None:
        told = await self._read(session, "GET", url)
        return None if told is None else _object(told)

    async def _read(self, session: aiohttp.ClientSession, method: str, url: str, body: Any = None) -> bytes | None:
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                session.request(method, url, json=body, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    return None
                read = bytearray()
                async for piece in response.content.iter_chunked(65_536):
                    read += piece
                    if len(read) > _MOST_BYTES:
                        return None
                return bytes(read)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None


def _object(told: bytes | None) -> Mapping[str, Any]:
    try:
        value = orjson.loads(told or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, Mapping) else {}


def _models(listed: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    data = (listed or {}).get("data")
    return [model for model in data if isinstance(model, Mapping)] if isinstance(data, list) else []


def _context(model: Mapping[str, Any], properties: Mapping[str, Any] | None) -> int | None:
    """vLLM and SGLang tell it of the model; llama.cpp what it was started with, which may be less than trained."""
    settings = (properties or {}).get("default_generation_settings")
    started = settings.get("n_ctx") if isinstance(settings, Mapping) else None
    meta = model.get("meta")
    trained = meta.get("n_ctx_train") if isinstance(meta, Mapping) else None
    for value in (model.get("max_model_len"), started, trained):
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
