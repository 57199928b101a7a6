"""From a description of a backend to the backend: the one place that knows all of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from router.backends.backend import Backend
from router.backends.embeddings import HostedEmbeddings, OpenAICompatibleEmbeddings
from router.backends.expressing import Expressing, is_openais
from router.backends.hosted import Hosted
from router.backends.http import Limits
from router.backends.openai_compatible import OpenAICompatible
from router.backends.recorded import Recorded
from router.errors import BadBackendSpec
from router.hints import HINTS, Hint

_KEY = re.compile(r"[!-~]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110's token
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

Serves = Literal["chat", "embeddings"]
BackendKind = Literal["openai_compatible", "hosted", "recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpec:
    """What an operator says about one model. Secrets stay out of its repr.

    model : the name by which Spillway's users know it.   serves : what it answers with, words or vectors.
    upstream_model : the name that the upstream knows; None: the same. For ``hosted``, litellm's ``provider/model``.
    base_url : the API's root, such as ``http://host:8000/v1``. Needed by openai_compatible.
    timeout_s, connect_timeout_s : for one whole call; for the connection alone.
    first_token_timeout_s, idle_timeout_s : until a stream says something; between two things that it says. None: the
        whole call's. Both are for streams only, since other answers are silent until they are whole.
    output_limit : how many tokens its answers have at most; sent along where a request says nothing of it.
    asks_logprobs : log-probabilities are asked for although the client did not, and are not shown to it.
    hints : the hints in a request that the upstream understands; it is not sent others.
    logs, recorded_model : the files that a recorded backend plays back, and the model's name in them (None: the same).
    """

    model: str
    kind: BackendKind
    serves: Serves = "chat"
    upstream_model: str | None = None
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 120.0
    connect_timeout_s: float = 5.0
    first_token_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    max_reply_bytes: int = 32 * 1024 * 1024
    hints: frozenset[Hint] = HINTS
    output_limit: int | None = None
    asks_logprobs: bool = False
    logs: tuple[Path, ...] = ()
    recorded_model: str | None = None
    replay_latency: bool = False  # recorded: wait as long as the logged call took


def build(spec: BackendSpec) -> Backend:
    """The backend that the spec describes. It calls once; who calls again, and where, is ``router/calling.py``'s.

    Raises BadBackendSpec naming the field at fault; ScorerError where a log cannot be read.
    """
    if spec.timeout_s <= 0 or spec.connect_timeout_s <= 0:
        raise BadBackendSpec(spec.model, "timeout_s", "must be above 0 seconds")
    if spec.api_key is not None and not _KEY.fullmatch(spec.api_key):  # or every call fails, and is put down as paid
        said = "must be printable ASCII without spaces; is there a line break at its end, or is it a placeholder?"
        raise BadBackendSpec(spec.model, "api_key", said)
    for name, value in spec.extra_headers.items():
        if not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value):
            said = "must have names of letters, digits and -, and values without line breaks or control characters"
            raise BadBackendSpec(spec.model, "extra_headers", said)
    if spec.kind == "recorded":
        return _recorded(spec)
    called = _openai_compatible(spec) if spec.kind == "openai_compatible" else _hosted(spec)
    chats = spec.serves == "chat"
    return Expressing(
        called,
        spec.hints,
        renames_limit=is_openais(spec.base_url),
        output_limit=spec.output_limit if chats else None,
        asks_logprobs=spec.asks_logprobs and chats,
    )


def _recorded(spec: BackendSpec) -> Backend:
    if not spec.logs:
        raise BadBackendSpec(spec.model, "logs", "a recorded model needs at least one log file to play back")
    return Recorded(spec.model, spec.logs, recorded_model=spec.recorded_model, replay_latency=spec.replay_latency)


def _openai_compatible(spec: BackendSpec) -> Backend:
    embeds = spec.serves == "embeddings"
    return (OpenAICompatibleEmbeddings if embeds else OpenAICompatible)(
        spec.model,
        path="/embeddings" if embeds else "/chat/completions",
        base_url=_checked_url(spec),
        upstream_model=spec.upstream_model,
        api_key=spec.api_key,
        extra_headers=spec.extra_headers,
        limits=Limits(
            total_s=spec.timeout_s,
            connect_s=spec.connect_timeout_s,
            first_token_s=spec.first_token_timeout_s,
            idle_s=spec.idle_timeout_s,
            max_bytes=spec.max_reply_bytes,
        ),
    )


def _hosted(spec: BackendSpec) -> Backend:
    if not spec.upstream_model:
        raise BadBackendSpec(spec.model, "upstream_model", "a hosted model needs litellm's name, such as openai/gpt-4o")
    return (HostedEmbeddings if spec.serves == "embeddings" else Hosted)(
        spec.model,
        upstream_model=spec.upstream_model,
        timeout_s=spec.timeout_s,
        first_token_timeout_s=spec.first_token_timeout_s,
        idle_timeout_s=spec.idle_timeout_s,
        api_key=spec.api_key,
        base_url=None if spec.base_url is None else _checked_url(spec),
        extra_headers=spec.extra_headers,
    )


def _checked_url(spec: BackendSpec) -> str:
    url = urlsplit(spec.base_url or "")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise BadBackendSpec(spec.model, "base_url", "must be the API's root, such as http://host:8000/v1")
    if url.username or url.password or url.query or url.fragment:
        raise BadBackendSpec(spec.model, "base_url", "must have no credentials, query or fragment; use api_key")
    return url.geturl()
