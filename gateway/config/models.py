"""The configured models as pools of deployments, and how long their answers can get.

Knows both the configuration's words and the router's, and translates. Calls nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.config.file import FieldPath
from gateway.config.settings import ModelSettings, Settings
from gateway.config.upstreams import DeploymentSettings
from router.backends.breaker import Breaker, BreakerRules
from router.backends.build import BackendSpec, build
from router.backends.expressing import expressible
from router.backends.hosted_catalog import known_model
from router.backends.pool import Deployment, Pool, PoolRules
from router.backends.retries import RetryRules
from router.errors import BadBackendSpec, TokenizerError
from router.hints import HINTS, Hint
from router.tokenizers import ENCODINGS, Tokenizer, known_encoding, load_tokenizer
from scorer.errors import ScorerError


def pools_of(settings: Settings, kept: Mapping[str, Pool] | None = None) -> Mapping[str, Pool]:
    """Every model's deployments by its name. Raises ConfigError placing what a backend cannot do with.

    kept : pools that go on as they are.
    """
    kept = kept or {}
    return {
        model.name: kept[model.name] if model.name in kept else _pool(settings, n, model)
        for n, model in enumerate(settings.models)
    }


def called_alike(before: Settings, after: Settings) -> frozenset[str]:
    """The models whose calls are made in the same way under both: their pools, with breakers and turns, can go on.

    Recorded models are never among them, since what their logs say may have changed.
    """
    if before.server.request_timeout_s != after.server.request_timeout_s:  # what a call without its own is given
        return frozenset()
    known = {model.name: _called(model) for model in before.models}
    return frozenset(
        model.name
        for model in after.models
        if model.backend != "recorded" and model.name in known and known[model.name] == _called(model)
    )


def _called(model: ModelSettings) -> Mapping[str, Any]:
    return model.model_dump(exclude={"price", "provider", "fallbacks"})


def output_limits(settings: Settings) -> Mapping[str, int]:
    """By model, how many tokens an answer can have at most, as far as it is known."""
    limits = {}
    for model in settings.models:
        limit = model.max_output_tokens or model.context_tokens
        if limit is None and model.backend == "hosted":
            known = known_model(model.upstream_model or model.name)
            limit = None if known is None else known.max_output_tokens or known.context_tokens
        if limit is not None:
            limits[model.name] = limit
    return limits


def tokenizers_of(settings: Settings) -> Mapping[str, Tokenizer]:
    """By model, what counts its tokens where it tells none: as configured, else as is known of OpenAI's models.

    Raises ConfigError. Loading one takes a second.
    """
    found = {}
    for n, model in enumerate(settings.models):
        name = model.tokenizer
        if name is not None and name not in ENCODINGS:
            path = settings.locate(Path(name))
            if not path.is_file():
                said = f"is neither one of {', '.join(ENCODINGS)} nor a tokenizer.json at {path}"
                raise settings.refuse(("models", n, "tokenizer"), said)
            name = str(path)
        name = name or known_encoding(model.upstream_model or model.name)
        if name is None or model.backend == "recorded":
            continue
        try:
            found[model.name] = load_tokenizer(name)
        except TokenizerError as error:
            raise settings.refuse(("models", n, "tokenizer"), str(error)) from error
    return found


def providers(settings: Settings) -> Mapping[str, str]:
    """By model, whose bill it comes on: as configured, else a hosted model's provider, else the endpoint's host."""
    found = {}
    for model in settings.models:
        name = model.provider
        if name is None and model.backend == "hosted":
            name = (model.upstream_model or model.name).partition("/")[0]
        if name is None and model.base_url is not None:
            name = urlsplit(model.base_url).hostname
        if name is not None:
            found[model.name] = name
    return found


def servers(model: ModelSettings) -> frozenset[str]:
    """Where a model's deployments are, by base URL."""
    told = {deployment.base_url or model.base_url for deployment in model.deployments} or {model.base_url}
    return frozenset(url.rstrip("/") for url in told if url is not None)


def hints_of(model: ModelSettings) -> frozenset[Hint]:
    """The hints that a model understands, whichever of its deployments is asked."""
    own = model.upstream_model or model.name
    names = {deployment.upstream_model or own for deployment in model.deployments} or {own}
    return HINTS.intersection(*(expressible(model.backend, name, model.capabilities) for name in names))


_FIELDS = {"logs": "log"}  # the router's word: the configuration's


def _pool(settings: Settings, n: int, model: ModelSettings) -> Pool:
    rules = _rules(model)
    deployments = []
    for place, deployment in enumerate(model.deployments or (DeploymentSettings(),)):
        where: FieldPath = ("models", n, "deployments", place) if model.deployments else ("models", n)
        spec = _spec(settings, model, deployment)
        try:
            backend = build(spec)
        except BadBackendSpec as error:
            raise settings.refuse((*where, _FIELDS.get(error.field, error.field)), error.reason) from error
        except ScorerError as error:
            raise settings.refuse((*where, "log"), str(error)) from error
        deployments.append(
            Deployment(
                name=deployment.name or str(place + 1),
                backend=backend,
                breaker=Breaker(rules.breaker),
                timeout_s=spec.timeout_s,
            )
        )
    return Pool(model.name, deployments, rules)


def specs_of(settings: Settings, model: ModelSettings) -> Mapping[str, BackendSpec]:
    """Every deployment of a model as its backend is described, by name."""
    return {
        deployment.name or str(place + 1): _spec(settings, model, deployment)
        for place, deployment in enumerate(model.deployments or (DeploymentSettings(),))
    }


def _rules(model: ModelSettings) -> PoolRules:
    retries, breaker = model.retries, model.breaker
    return PoolRules(
        most_at_once=model.max_concurrency,
        most_waiting=model.load.most_waiting,
        most_kv_use=model.load.most_kv_use,
        places=model.load.places,
        most_congestion=model.load.most_congestion,
        queue=model.queue.most,
        patience_s=model.queue.patience_s,
        hedge_after_s=model.hedge_after_s,
        retries=RetryRules(
            most=retries.most, billed=retries.billed, longest_wait_s=retries.longest_wait_s, budget=retries.budget
        ),
        breaker=BreakerRules(
            failures=breaker.failures, share=breaker.share, window_s=breaker.window_s, pause_s=breaker.pause_s
        ),
    )


def _spec(settings: Settings, model: ModelSettings, deployment: DeploymentSettings) -> BackendSpec:
    api_key = deployment.api_key or model.api_key
    headers = model.extra_headers if deployment.extra_headers is None else deployment.extra_headers
    upstream_model = deployment.upstream_model or model.upstream_model
    assert model.backend != "mixture"  # noqa: S101 (each has been given its aggregator's)
    return BackendSpec(
        model=model.name,
        kind=model.backend,
        serves=model.serves,
        upstream_model=upstream_model or (model.name if model.backend == "hosted" else None),
        base_url=deployment.base_url or model.base_url,
        api_key=api_key.get_secret_value() if api_key else None,
        extra_headers={name: value.get_secret_value() for name, value in headers.items()},
        timeout_s=model.timeout_s or settings.server.request_timeout_s,
        connect_timeout_s=model.timeouts.connect_s,
        first_token_timeout_s=model.timeouts.first_token_s,
        idle_timeout_s=model.timeouts.between_tokens_s,
        logs=tuple(settings.locate(path) for path in model.log),
        recorded_model=model.recorded_model,
        hints=hints_of(model),
        output_limit=model.max_output_tokens,
        asks_logprobs=model.ask_logprobs,
    )
