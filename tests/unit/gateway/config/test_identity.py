"""Two upstreams, or two sets of verifiers, that could answer differently have different identities."""

from pathlib import Path

import pytest

from gateway.config.check import load_settings
from gateway.config.identity import model_identity, verifiers_identity

PLAIN = "models: [{{name: m, backend: openai_compatible, base_url: 'http://one/v1', api_key: k{more}}}]\n"
POLICY = "policies: [{{name: p, safe_model: m, verifiers: [{{name: v, kind: regex, pattern: '{pattern}'}}]}}]\n"


def identities(folder: Path, *, more: str = "", pattern: str = "a") -> tuple[str, str]:
    path = folder / "spillway.yaml"
    path.write_text(PLAIN.format(more=more) + POLICY.format(pattern=pattern))
    settings = load_settings(path, env={})
    return model_identity(settings, settings.models[0]), verifiers_identity(settings, settings.policies[0])


@pytest.mark.parametrize(
    ("more", "same"),
    [
        (", timeout_s: 3", True),
        (", upstream_model: other", False),
        (", extra_headers: {x-model-version: '2'}", False),
        (", max_output_tokens: 100", False),
        (", deployments: [{base_url: 'http://two/v1'}]", False),
    ],
)
def test_what_could_answer_otherwise_is_another_model(tmp_path: Path, more: str, same: bool) -> None:
    assert (identities(tmp_path, more=more)[0] == identities(tmp_path)[0]) == same


def test_another_rule_is_another_set_of_verifiers(tmp_path: Path) -> None:
    assert identities(tmp_path, pattern="a")[1] != identities(tmp_path, pattern="b")[1]


def test_secrets_stay_inside(tmp_path: Path) -> None:
    assert "hunter2" not in "".join(identities(tmp_path, more=", extra_headers: {authorization: hunter2}"))
