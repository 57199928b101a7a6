"""A policy's verifiers as the configuration has them, made into the gate that a cascade asks.

Knows both the configuration's words and the router's, and translates. Asks nobody.
"""

import orjson

from gateway.config.settings import PolicySettings, Settings, VerifierSettings
from router.egress import Egress
from router.errors import VerifierError
from router.verifiers.gate import Gate, Guard
from router.verifiers.judge import JudgeVerifier
from router.verifiers.pattern import PatternVerifier
from router.verifiers.plugin import PluginVerifier
from router.verifiers.schema import SchemaVerifier
from router.verifiers.verifier import Verifier
from router.verifiers.webhook import WebhookVerifier

_OWN = {
    "json_schema": {"schema_file"},
    "regex": {"pattern", "wanted"},
    "python": {"entry_point"},
    "webhook": {"url", "secret", "allowed_networks"},
    "judge": {"model", "prompt"},
}
_NEEDED = {"regex": "pattern", "python": "entry_point", "webhook": "url", "judge": "model"}


def gate_of(settings: Settings, n: int, policy: PolicySettings) -> Gate | None:
    """The gate of the n-th policy, None where it has no verifiers. Raises ConfigError placing what does not fit."""
    guards: list[Guard] = []
    for index, written in enumerate(policy.verifiers):
        wrong = _misfit(settings, written, {guard.name for guard in guards})
        if wrong is not None:
            raise settings.refuse(("policies", n, "verifiers", index, wrong[0]), wrong[1])
        try:
            verifier = _verifier(settings, written)
        except (VerifierError, OSError, orjson.JSONDecodeError) as error:
            field = _NEEDED.get(written.kind, "schema_file")
            raise settings.refuse(("policies", n, "verifiers", index, field), str(error)) from error
        guards.append(
            Guard(
                name=written.name,
                kind=written.kind,
                verifier=verifier,
                passing=written.when_passed,
                timeout_s=written.timeout_s,
            )
        )
    return Gate(guards, refuses=policy.on_failed_verification == "refuse") if guards else None


def _misfit(settings: Settings, written: VerifierSettings, taken: set[str]) -> tuple[str, str] | None:
    """The field at which a verifier is wrong, and what is."""
    if written.name in taken:
        return "name", f"{written.name!r} is already the name of a verifier of this policy; names must differ"
    foreign = written.model_fields_set & set().union(*_OWN.values()) - _OWN[written.kind]
    if foreign:
        return min(foreign), f"belongs to another kind of verifier, and this one is {written.kind}"
    needed = _NEEDED.get(written.kind)
    if needed is not None and getattr(written, needed) is None:
        return needed, f"is required for a verifier of kind {written.kind}"
    if written.kind == "judge" and written.model not in {m.name for m in settings.models if m.serves == "chat"}:
        return "model", f"there is no chat model {written.model!r}; add it to models"
    return None


def _verifier(settings: Settings, written: VerifierSettings) -> Verifier:
    if written.kind == "json_schema":
        file = written.schema_file
        schema = None if file is None else orjson.loads(settings.locate(file).read_bytes())
        if schema is not None and not isinstance(schema, dict):
            raise VerifierError("must hold a JSON object")
        return SchemaVerifier(schema)
    if written.kind == "regex":
        return PatternVerifier(written.pattern or "", wanted=written.wanted)
    if written.kind == "python":
        return PluginVerifier.named(written.entry_point or "")
    if written.kind == "webhook":
        secret = None if written.secret is None else written.secret.get_secret_value()
        egress = Egress(written.allowed_networks)
        return WebhookVerifier(written.url or "", egress, timeout_s=written.timeout_s, secret=secret)
    return JudgeVerifier(written.model or "", timeout_s=written.timeout_s, prompt=written.prompt)
