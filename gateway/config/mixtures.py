"""Models that are made of several: what is wrong with one, and what it takes over from the model that writes for it.

Knows the configuration's words and the router's, and translates. Calls nothing.
"""

from collections.abc import Iterator, Mapping

from gateway.config.file import Finding, closest
from gateway.config.settings import ModelSettings, Settings
from gateway.config.upstreams import MixtureSettings
from router.mixture import PROMPT, Mixture

_ITS_OWN = frozenset(
    {"name", "backend", "mixture", "timeout_s", "timeouts", "retries", "breaker", "max_concurrency", "queue"}
    | {"hedge_after_s", "fallbacks", "context_tokens", "max_output_tokens", "capabilities", "ask_logprobs"}
)
_ABLE = frozenset({"vision", "audio", "documents", "json_schema", "logprobs", "prompt_caching", "reasoning_content"})


def misfits(settings: Settings) -> Iterator[Finding]:
    """Fields that are wrong, and why."""
    models = {model.name: model for model in settings.models}
    for n, model in enumerate(settings.models):
        if model.backend == "mixture":
            yield from (((("models", n, *where)), said) for where, said in _misfits(model, models))
            beyond = " and no ".join(sorted((model.capabilities or frozenset()) - _ABLE))
            if beyond:
                yield ("models", n, "capabilities"), f"a mixture has no {beyond}; leave that out"
        elif model.mixture is not None:
            yield ("models", n, "mixture"), f"belongs to the backend mixture, and this one is {model.backend}"
    mixed = {model.name for model in settings.models if model.backend == "mixture"}
    for n, policy in enumerate(settings.policies):
        for m, verifier in enumerate(policy.verifiers):
            if verifier.model in mixed:
                yield ("policies", n, "verifiers", m, "model"), f"{verifier.model!r} is a mixture; a judge is one model"


def _misfits(model: ModelSettings, models: Mapping[str, ModelSettings]) -> Iterator[Finding]:
    mixture = model.mixture
    if mixture is None:
        yield ("mixture",), "is required for this backend: its proposers and its aggregator"
        return
    for field in sorted(model.model_fields_set - _ITS_OWN):
        yield (field,), f"is told by the aggregator, {mixture.aggregator!r}; leave it out here"
    for where, name in (
        *((("mixture", "proposers", n), name) for n, name in enumerate(mixture.proposers)),
        (("mixture", "aggregator"), mixture.aggregator),
    ):
        part = models.get(name)
        if part is None:
            yield where, f"there is no model {name!r}{closest(name, models)}"
        elif part.backend == "mixture":
            yield where, f"{name!r} is a mixture itself; its parts are single models"
        elif part.serves != "chat":
            yield where, f"{name!r} serves embeddings; a mixture's parts serve chat"
    writer = models.get(mixture.aggregator)
    if writer is not None:
        yield from _unfit_to_write(writer, mixture)
    least = mixture.least or len(mixture.proposers)
    if least > len(mixture.proposers):
        yield ("mixture", "least"), f"must be at most the number of proposers, {len(mixture.proposers)}"
    elif mixture.quorum > least:
        yield ("mixture", "quorum"), f"must be at most {least}, as no more may be asked"


def _unfit_to_write(writer: ModelSettings, mixture: MixtureSettings) -> Iterator[Finding]:
    if writer.backend == "recorded":
        yield ("mixture", "aggregator"), f"{writer.name!r} plays back a log, which knows no proposals"
    shown = mixture.most_tokens * len(mixture.proposers)
    if writer.context_tokens is not None and shown >= writer.context_tokens:
        said = f"of each proposal leaves nothing of the {writer.context_tokens} tokens that {writer.name!r} holds"
        yield ("mixture", "most_tokens"), said


def with_mixtures(settings: Settings) -> Settings:
    """The settings with every mixture calling as its aggregator does. Only for settings without ``misfits``.

    What a mixture says of itself comes first. Its context is what its parts hold, less the proposals it may be shown.
    """
    models = {model.name: model for model in settings.models}
    told = tuple(model if model.mixture is None else _written(model, models) for model in settings.models)
    return settings if told == settings.models else settings.model_copy(update={"models": told})


def _written(model: ModelSettings, models: Mapping[str, ModelSettings]) -> ModelSettings:
    mixture = model.mixture
    assert mixture is not None  # noqa: S101 (only such are written)
    writer = models[mixture.aggregator]
    parts = [models[name] for name in mixture.proposers]
    own = {field: getattr(model, field) for field in model.model_fields_set & _ITS_OWN - {"backend"}}
    told = {
        "upstream_model": writer.upstream_model or writer.name,
        "capabilities": _together([writer, *parts]),
        "context_tokens": _context(writer, parts, mixture.most_tokens * len(parts)),
        "gpu_usd_per_hour": None,  # the aggregator's bill has it
        "probe": False,
        "fallbacks": (),
    }
    return writer.model_copy(update={**told, **own})


def _together(parts: list[ModelSettings]) -> frozenset[str]:
    """What all of them can do. Nobody can make one answer of several calls of tools."""
    return _ABLE.intersection(*(part.capabilities for part in parts if part.capabilities is not None))


def _context(writer: ModelSettings, parts: list[ModelSettings], shown: int) -> int | None:
    holds = [part.context_tokens for part in parts if part.context_tokens is not None]
    if writer.context_tokens is not None:
        holds.append(writer.context_tokens - shown)
    return min(holds, default=None)


def mixtures_of(settings: Settings) -> Mapping[str, Mixture]:
    """By name, how the mixtures answer."""
    found = {}
    for model in settings.models:
        told = model.mixture
        if told is not None:
            found[model.name] = Mixture(
                name=model.name,
                models=told.proposers,
                aggregator=told.aggregator,
                least=told.least or len(told.proposers),
                quorum=told.quorum,
                deadline_s=told.deadline_s,
                temperature=told.temperature,
                most_tokens=told.most_tokens,
                prompt=told.prompt or PROMPT,
            )
    return found


def parts_of(settings: Settings, model: ModelSettings) -> tuple[ModelSettings, ...]:
    """The models that a mixture calls, its aggregator first; of any other model, itself."""
    if model.mixture is None:
        return (model,)
    names = dict.fromkeys((model.mixture.aggregator, *model.mixture.proposers))
    known = {each.name: each for each in settings.models}
    return tuple(known[name] for name in names)


def caller_of(model: ModelSettings) -> str:
    """Under whose name the endpoints that a model's calls go to are known: a mixture's are its aggregator's."""
    return model.name if model.mixture is None else model.mixture.aggregator
