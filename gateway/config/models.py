"""The configured models as backends, and how long their answers can get.

Knows both the configuration's words and the router's, and translates. Calls nothing.
"""

from collections.abc import Mapping

from gateway.config.settings import ModelSettings, Settings
from router.backends.backend import Backend
from router.backends.build import BackendSpec, build
from router.backends.hosted_catalog import known_model
from router.errors import BadBackendSpec
from scorer.errors import ScorerError


def backends_of(settings: Settings) -> Mapping[str, Backend]:
    """Every model's backend by its name. Raises ConfigError placing what a backend cannot do with."""
    backends = {}
    for n, model in enumerate(settings.models):
        try:
            backends[model.name] = build(_spec(settings, model))
        except BadBackendSpec as error:
            raise settings.refuse(("models", n, _FIELDS.get(error.field, error.field)), error.reason) from error
        except ScorerError as error:
            raise settings.refuse(("models", n, "log"), str(error)) from error
    return backends


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


_FIELDS = {"logs": "log"}  # the router's word: the configuration's


def _spec(settings: Settings, model: ModelSettings) -> BackendSpec:
    return BackendSpec(
        model=model.name,
        kind=model.backend,
        upstream_model=model.upstream_model or (model.name if model.backend == "hosted" else None),
        base_url=model.base_url,
        api_key=model.api_key.get_secret_value() if model.api_key else None,
        extra_headers={name: value.get_secret_value() for name, value in model.extra_headers.items()},
        timeout_s=model.timeout_s or settings.server.request_timeout_s,
        logs=tuple(settings.locate(path) for path in model.log),
        recorded_model=model.recorded_model,
    )
