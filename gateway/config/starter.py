"""`spillway init`: a first configuration from the provider keys that lie in the environment.

Knows providers by their environment variables and a few of their models, newest first; a model is written down only
if it has a known price today. Never writes a key itself, only the name of its variable. Calls no provider.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from gateway.errors import GatewayError
from router.backends.hosted_catalog import KnownModel, first_known


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider.   tiers : per tier, cheapest first, the models to choose from, best first."""

    name: str
    variables: tuple[str, ...]
    tiers: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server of one's own that speaks the OpenAI API.   example : a model that such a server typically has."""

    name: str
    variable: str
    default_url: str
    example: str


PROVIDERS = (
    Provider(
        name="openai",
        variables=("OPENAI_API_KEY",),
        tiers=(
            ("gpt-6-luna", "gpt-5.6-luna", "gpt-5.4-nano", "gpt-5-nano", "gpt-4.1-nano", "gpt-4o-mini"),
            ("gpt-5.4-mini", "gpt-5-mini", "gpt-4.1-mini"),
            ("gpt-5.5", "gpt-5.4", "gpt-5.2", "gpt-5.1", "gpt-5", "gpt-4.1", "gpt-4o"),
        ),
    ),
    Provider(
        name="anthropic",
        variables=("ANTHROPIC_API_KEY",),
        tiers=(
            ("claude-haiku-5-5", "claude-haiku-4-5", "claude-3-5-haiku-latest"),
            ("claude-sonnet-5-5", "claude-sonnet-5", "claude-sonnet-4-6", "claude-sonnet-4-5"),
            ("claude-opus-5-5", "claude-opus-5", "claude-opus-4-8", "claude-opus-4-5", "claude-opus-4-1"),
        ),
    ),
    Provider(
        name="gemini",
        variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        tiers=(
            ("gemini-3.5-flash-lite", "gemini-3.1-flash-lite", "gemini-2.5-flash-lite"),
            ("gemini-3.8-flash", "gemini-3.5-flash", "gemini-2.5-flash"),
            ("gemini-4-argon", "gemini-3.1-pro-preview", "gemini-2.5-pro"),
        ),
    ),
    Provider(
        name="mistral",
        variables=("MISTRAL_API_KEY",),
        tiers=(
            ("ministral-8b-latest", "ministral-3-8b-2512", "mistral-small-latest"),
            ("mistral-small-latest", "mistral-large-latest"),
            ("mistral-medium-latest", "mistral-large-latest"),
        ),
    ),
    Provider(
        name="deepseek",
        variables=("DEEPSEEK_API_KEY",),
        tiers=(("deepseek-flash", "deepseek-v4-flash", "deepseek-chat"), ("deepseek-v4-pro", "deepseek-reasoner")),
    ),
    Provider(
        name="groq",
        variables=("GROQ_API_KEY",),
        tiers=(
            ("openai/gpt-oss-20b", "llama-3.1-8b-instant"),
            ("openai/gpt-oss-120b", "llama-3.3-70b-versatile"),
        ),
    ),
    Provider(
        name="xai",
        variables=("XAI_API_KEY",),
        tiers=(("grok-4.20-non-reasoning", "grok-4-fast-non-reasoning"), ("grok-4.7", "grok-4.5", "grok-4")),
    ),
)

SERVERS = (
    Server(name="ollama", variable="OLLAMA_HOST", default_url="http://127.0.0.1:11434", example="llama3.2"),
    Server(name="vllm", variable="VLLM_BASE_URL", default_url="http://127.0.0.1:8000", example="Qwen/Qwen3-8B"),
)


def write_config(path: Path, *, force: bool = False, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Write the file and say what was found and what comes next. Raises GatewayError if it exists and not ``force``."""
    env = os.environ if env is None else env
    today = datetime.now(UTC).date()
    hosted = [(provider, variable, models) for provider, variable, models in _hosted(env, today) if models]
    own = [server for server in SERVERS if env.get(server.variable)]
    nothing = not hosted and not own
    if nothing:
        own = [SERVERS[0]]
    text = _render(hosted, own, env)
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise GatewayError(f"{path} exists already; --force overwrites it") from None
    except OSError as error:
        raise GatewayError(f"{path} cannot be written: {error.strerror}") from error
    for provider, variable, models in hosted:
        yield f"{variable}: {provider.name}, {len(models)} models"
    for server in own:
        yield "no provider key found: a local Ollama is assumed" if nothing else f"{server.variable}: {server.name}"
    yield f"wrote {path}; next: spillway check-config, then spillway keys create my-app, then spillway serve"


def _hosted(env: Mapping[str, str], today: date) -> Iterator[tuple[Provider, str, list[KnownModel]]]:
    for provider in PROVIDERS:
        variable = next((variable for variable in provider.variables if env.get(variable)), None)
        if variable is None:
            continue
        found: dict[str, KnownModel] = {}
        for tier in provider.tiers:
            model = first_known((f"{provider.name}/{name}" for name in tier), today=today)
            if model is not None:
                found[model.name] = model
        yield provider, variable, sorted(found.values(), key=_dearness)


def _dearness(model: KnownModel) -> float:
    return float(model.price.rates["output"]) if model.price is not None else 0.0


def _render(
    hosted: Sequence[tuple[Provider, str, list[KnownModel]]], own: Sequence[Server], env: Mapping[str, str]
) -> str:
    models = [_hosted_model(model, variable) for _, variable, found in hosted for model in found]
    models += [_own_model(server, env) for server in own]
    candidates = [(model, _short(model)) for _, _, found in hosted for model in found]
    safe = max(candidates, key=lambda pair: _dearness(pair[0]))[1] if candidates else own[0].example
    return _HEAD + "\n".join(models) + _TAIL.format(safe=safe)


def _short(model: KnownModel) -> str:
    return model.name.partition("/")[2]


def _hosted_model(model: KnownModel, variable: str) -> str:
    assert model.price is not None  # noqa: S101 (first_known gives none without)
    rates = model.price.rates
    lines = [
        f"  - name: {_short(model)}",
        "    backend: hosted",
        f"    upstream_model: {model.name}",
        f"    api_key: ${{{variable}}}",
        f"    # USD per million tokens today: {rates['input']:f} in, {rates['output']:f} out."
        " Write `price:` as below to fix your own.",
    ]
    if model.context_tokens is not None:
        lines.append(f"    context_tokens: {model.context_tokens}")
    if model.max_output_tokens is not None:
        lines.append(f"    max_output_tokens: {model.max_output_tokens}")
    return "\n".join(lines) + "\n"


def _own_model(server: Server, env: Mapping[str, str]) -> str:
    url = _base_url(env.get(server.variable) or server.default_url, server)
    lines = [
        f"  - name: {server.example}   # put the name of a model that your {server.name} server has",
        "    backend: openai_compatible",
        f"    base_url: {url}",
        "    price: {input_usd_per_mtok: 0, output_usd_per_mtok: 0}   # what a token costs you; 0 means it is free",
    ]
    return "\n".join(lines) + "\n"


def _base_url(value: str, server: Server) -> str:
    """``0.0.0.0:11434`` and the like, as OLLAMA_HOST may have it, as a URL that can be called."""
    default_port = server.default_url.rpartition(":")[2]
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "http", value
    host, _, path = rest.partition("/")
    name, _, port = host.partition(":")
    name = "127.0.0.1" if name in ("", "0.0.0.0") else name  # noqa: S104 (an address to listen on is none to call)
    path = path.strip("/") or "v1"
    port = port or ("" if separator else default_port)
    return f"{scheme}://{name}{':' + port if port else ''}/{path}"


_HEAD = """\
# Spillway's configuration. `spillway check-config` says whether it is right and what it will serve.
# ${NAME} in a value is a variable of the environment, ${NAME:-default} has a default. Paths are relative to this file.

server:
  host: 127.0.0.1   # 0.0.0.0 lets other machines in
  port: 8080
  # max_body_bytes: 16777216    # larger requests are refused
  # request_timeout_s: 600      # for a whole request, all its attempts together
  # hold_headers_s: 10          # a stream waits so long for its decision before its headers go out
  # keep_alive_s: 5             # between signs of life while a stream waits longer

database:
  url: sqlite+aiosqlite:///spillway.db   # keys and the cost ledger

auth:
  required: true   # keys are made with: spillway keys create NAME

cache:
  enabled: true
  max_entries: 10000
  ttl_s: 86400

# prices: prices.json   # a price list of your own; otherwise hosted models cost what their public price lists say

# What can be asked for by name, and what policies can use as tiers.
models:
"""

_TAIL = """
# How `auto` and `cascade/<name>` are answered. Without a strategy the safe model answers: you lose nothing while logs
# gather. Then: spillway train, spillway optimize, and take the two comments off.
policies:
  - name: default
    safe_model: {safe}
    # strategy: strategy.json
    # scorer: scorer/
    cache: deterministic   # all: also at a temperature above 0, or without one; off: never

default_policy: default
"""
