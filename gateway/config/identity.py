"""What tells one model's upstream, or one policy's verifiers, from another's, so that an answer which is kept is not
given where another would be made.

Knows settings. Keeps no secret: what goes in comes out as a hash.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import SecretStr

from gateway.config.mixtures import parts_of
from gateway.config.settings import ModelSettings, PolicySettings, Settings

_OF_A_MODEL = {"backend", "base_url", "upstream_model", "extra_headers", "recorded_model", "max_output_tokens", "log"}
_OF_A_DEPLOYMENT = {"base_url", "upstream_model", "extra_headers"}


def model_identity(settings: Settings, model: ModelSettings) -> str:
    """Whom the model's calls go to, and as what."""
    told = model.model_dump(include=_OF_A_MODEL)
    told["log"] = [str(settings.locate(path)) for path in model.log]
    if model.mixture is not None:
        told["mixture"] = model.mixture.model_dump(mode="json")
        told["proposers"] = [model_identity(settings, part) for part in parts_of(settings, model)[1:]]
    told["deployments"] = [each.model_dump(include=_OF_A_DEPLOYMENT) for each in model.deployments]
    return _hash(told)


def verifiers_identity(settings: Settings, policy: PolicySettings) -> str:
    """What the policy's answers have to pass."""
    if not policy.verifiers:
        return ""
    told = []
    for verifier in policy.verifiers:
        one = verifier.model_dump(exclude={"secret", "timeout_s"})
        if verifier.schema_file is not None:
            one["schema_file"] = settings.locate(verifier.schema_file).read_text(encoding="utf-8")
        told.append(one)
    return _hash([told, policy.on_failed_verification])


def settings_identity(settings: Settings) -> str:
    """All that makes a difference to who is answered and how: not where a process listens, or its own spool."""
    places = {"server": {"host", "port"}, "admin": {"host", "port"}, "ledger": {"spool"}}
    return _hash(settings.model_dump(exclude=places))


def _hash(told: Any) -> str:
    spelt = orjson.dumps(told, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(spelt).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return sorted(map(str, value))
    return str(value)
