"""Loads ``spillway.yaml`` and names everything that is wrong with it at once, with lines and remedies.

Knows how to say it. The shapes and defaults are in ``gateway/config/settings.py``.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.file import ConfigFile, FieldPath, Finding, closest, read_config
from gateway.config.mixtures import misfits, with_mixtures
from gateway.config.prices import unlike_bills
from gateway.config.settings import ModelSettings, PolicySettings, Settings
from gateway.errors import ConfigError, Problem

_SECRET = {"api_key", "extra_headers", "url", "base_url", "token", "secret"}
_PATTERNS = {
    "url": "a URL that begins with http:// or https://, without a query or fragment",
    "name": "letters, digits and . _ - (models also : / @ +), beginning with a letter or digit",
    "base_url": "a URL such as http://127.0.0.1:8000/v1, without a query or fragment",
}


def load_settings(
    path: Path,
    *,
    env: Mapping[str, str] | None = None,
    serving: bool = True,
    host: str | None = None,
    port: int | None = None,
) -> Settings:
    """Read and check a configuration file.

    serving : with False neither provider keys nor strategy, scorer and log files are needed, as for `keys` and `spend`.
    host, port : stand in for those of the file.
    Raises ConfigError with every problem found.
    """
    file = read_config(path, env=env, need_env=serving)
    if not isinstance(file.values, dict):
        what = "is empty" if file.values is None else "is not a mapping of sections"
        raise ConfigError([file.problem((), f"{what}; `spillway init` writes one that works")])
    server = file.values.get("server") or {}
    if isinstance(server, dict):
        given = {"host": host, "port": port}
        file.values["server"] = server | {name: value for name, value in given.items() if value is not None}
    try:
        settings = Settings.model_validate(file.values).from_file(file)
    except ValidationError as error:
        raise ConfigError(_explanations(file, error.errors(include_url=False))) from None
    found = list(_inconsistencies(settings, serving))
    if found:
        raise ConfigError([file.problem(where, message) for where, message in found])
    return with_mixtures(settings)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a server bound to ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _explanations(file: ConfigFile, details: list[ErrorDetails]) -> list[Problem]:
    """In the file's order; a list is not called too short only because an item of it is wrong."""
    inner = {detail["loc"][:n] for detail in details for n in range(len(detail["loc"]))}
    told = [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in inner]
    return sorted((_explain(file, detail) for detail in told), key=lambda problem: problem.line or 0)


def _explain(file: ConfigFile, detail: ErrorDetails) -> Problem:
    where: FieldPath = tuple(part for part in detail["loc"] if part != "[key]")
    kind, last = detail["type"], detail["loc"][-1] if detail["loc"] else ""
    if kind == "extra_forbidden":
        return file.problem(where, f"is not a field here{closest(str(last), _fields_at(where[:-1]))}")
    if kind == "missing":
        return file.problem(where, "is required and missing")
    if kind == "string_pattern_mismatch":
        said = f"must be {_PATTERNS.get(str(last), 'written differently')}"
    elif kind == "model_type" or kind == "model_attributes_type":
        said = f"must be a mapping with the fields {', '.join(_fields_at(where))}"
    else:
        said = detail["msg"].replace("Input should be", "must be").replace("valid tuple", "list")
    got = file.written.get(where)
    hidden = any(part in _SECRET for part in where)
    return file.problem(where, said if got is None or hidden else f"{said}; it says {got!r}")


def _fields_at(where: FieldPath) -> tuple[str, ...]:
    """The fields that a section has, found by walking the settings' own annotations."""
    section: Any = Settings
    for part in where:
        if isinstance(part, int) or not issubclass(section, BaseModel) or part not in section.model_fields:
            continue
        section = _section_in(section.model_fields[part].annotation)
    return tuple(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_section_in(argument) for argument in get_args(annotation) if argument is not Ellipsis)
    return next((section for section in inner if section is not BaseModel), BaseModel)


def _inconsistencies(settings: Settings, serving: bool) -> Iterator[Finding]:
    yield from _twice("models", [model.name for model in settings.models])
    yield from _twice("policies", [policy.name for policy in settings.policies])
    server, names = settings.server, {model.name for model in settings.models}
    for n, model in enumerate(settings.models):
        yield from _model(settings, ("models", n), model, serving)
        yield from _upstreams(("models", n), model, names)
    for n, policy in enumerate(settings.policies):
        yield from _policy(settings, ("policies", n), policy, names, serving)
    yield from misfits(settings)
    yield from unlike_bills(settings)
    yield from _default_policy(settings)
    if serving and settings.prices is not None and not settings.locate(settings.prices).is_file():
        yield ("prices",), f"there is no file {settings.locate(settings.prices)}"
    if serving:
        yield from _exposure(settings)
    if settings.admin.port and (settings.admin.host, settings.admin.port) == (server.host, server.port):
        yield ("admin", "port"), f"{server.port} is server.port; leave it out to serve both there"
    if settings.alerts.url is not None and settings.alerts.secret is None:
        yield ("alerts", "secret"), "is required beside url: at least 20 characters that sign what is told"
    yield from _retention(settings)


def _retention(settings: Settings) -> Iterator[Finding]:
    """Text goes strictly before money."""
    where, kept = ("ledger", "retention"), settings.ledger.retention
    texts = settings.transcripts
    if texts.share and kept.details_days is not None and texts.days > kept.details_days:
        said = f"must be at most ledger.retention.details_days ({kept.details_days}): questions and answers go first"
        yield ("transcripts", "days"), said
    if kept.money_days is None:
        return
    if kept.details_days is None:
        yield (*where, "details_days"), f"is required beside money_days: fewer days than {kept.money_days}"
    elif kept.details_days >= kept.money_days:
        yield (*where, "details_days"), f"must be fewer than money_days ({kept.money_days}): details go before money"
    if settings.idempotency.ttl_s >= kept.money_days * 86_400:
        said = f"must be shorter than ledger.retention.money_days ({kept.money_days}): answers go before money"
        yield ("idempotency", "ttl_s"), said


def _twice(section: str, names: list[str]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for n, name in enumerate(names):
        if name.casefold() in first:
            other = f"{section}[{first[name.casefold()]}]"
            yield (section, n, "name"), f"{name!r} is already the name of {other}; names must differ"
        first.setdefault(name.casefold(), n)


def _model(settings: Settings, where: FieldPath, model: ModelSettings, serving: bool) -> Iterator[Finding]:
    if model.name == "auto" or model.name.startswith("cascade/"):
        yield (*where, "name"), f"{model.name!r} is kept for policies; give the model another name"
    placed = bool(model.deployments) and all(deployment.base_url for deployment in model.deployments)
    if model.backend == "openai_compatible" and model.base_url is None and not placed:
        yield (*where, "base_url"), "is required for an openai_compatible backend, e.g. http://127.0.0.1:8000/v1"
    if model.backend == "recorded" and model.serves != "chat":
        yield (*where, "serves"), "must be chat for a recorded backend: logs have no vectors"
    if model.backend == "recorded" and not model.log:
        yield (*where, "log"), "is required for a recorded backend: a list of log files to play back"
    if model.backend not in ("recorded", "mixture"):
        for field in ("log", "recorded_model"):
            if getattr(model, field):
                yield (*where, field), f"belongs to recorded backends, and this one is {model.backend}"
    for n, path in enumerate(model.log if serving and model.backend == "recorded" else ()):
        if not settings.locate(path).is_file():
            yield (*where, "log", n), f"there is no file {settings.locate(path)}"


def _upstreams(where: FieldPath, model: ModelSettings, models: set[str]) -> Iterator[Finding]:
    names = [deployment.name or str(n + 1) for n, deployment in enumerate(model.deployments)]
    for n, name in enumerate(names):
        if name in names[:n]:
            yield (*where, "deployments", n, "name"), f"{name!r} is the name of another one; names must differ"
    if model.backend == "recorded" and model.deployments:
        yield (*where, "deployments"), "belongs to backends that are called, and this one is recorded"
    for n, fallback in enumerate(model.fallbacks):
        if fallback == model.name:
            yield (*where, "fallbacks", n), "is the model itself; a fallback is another one"
        elif fallback not in models:
            yield (*where, "fallbacks", n), f"there is no model {fallback!r}{closest(fallback, models)}"


def _policy(
    settings: Settings, where: FieldPath, policy: PolicySettings, models: set[str], serving: bool
) -> Iterator[Finding]:
    if policy.safe_model not in models:
        yield (*where, "safe_model"), f"there is no model {policy.safe_model!r}{closest(policy.safe_model, models)}"
    if any(model.name == policy.safe_model and model.serves != "chat" for model in settings.models):
        yield (*where, "safe_model"), f"{policy.safe_model!r} serves embeddings; a policy's models serve chat"
    if policy.shadow is not None and policy.strategy is None:
        said = "belongs to policies with a strategy: without one the safe model, the reference itself, answers"
        yield (*where, "shadow"), said
    if not serving:
        return
    if policy.strategy is not None and not settings.locate(policy.strategy).is_file():
        message = f"there is no file {settings.locate(policy.strategy)}; `spillway optimize` writes one"
        yield (*where, "strategy"), f"{message}, and without this field the safe model answers alone"
    if policy.canary is not None and not settings.locate(policy.canary.strategy).is_file():
        yield (*where, "canary", "strategy"), f"there is no file {settings.locate(policy.canary.strategy)}"
    if policy.scorer is not None and not settings.locate(policy.scorer).is_dir():
        yield (*where, "scorer"), f"there is no folder {settings.locate(policy.scorer)}; `spillway train` writes one"


def _default_policy(settings: Settings) -> Iterator[Finding]:
    names = [policy.name for policy in settings.policies]
    if settings.default_policy is not None and settings.default is None:
        name = settings.default_policy
        yield ("default_policy",), f"there is no policy {name!r}{closest(name, names)}"
    if settings.default_policy is None and len(names) > 1:
        yield ("default_policy",), f"is required where there are several policies; one of: {', '.join(names)}"


def _exposure(settings: Settings) -> Iterator[Finding]:
    auth, host = settings.auth, settings.server.host
    if not auth.required and not auth.allow_anonymous_network and not is_loopback(host):
        yield (
            ("auth", "required"),
            f"is false, which lets anybody who can reach {host} spend your money; "
            "set it to true, set server.host to 127.0.0.1, or say auth.allow_anonymous_network: true",
        )
