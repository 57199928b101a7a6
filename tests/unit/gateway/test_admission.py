"""What a key may ask for, and what it is told where it may not."""

import pytest

from gateway.admission import must_be_open_to, names_open_to
from gateway.errors import Forbidden, NotPermittedModel
from gateway.keys import Caller

NAMES = ("auto", "cascade/default", "cascade/other", "small", "large")


def caller(*models: str) -> Caller:
    return Caller(tenant_id="t", key_id="k", name="n", models=models)


def test_a_key_without_a_list_may_ask_for_everything() -> None:
    anybody = Caller(tenant_id="t", key_id="k", name="n")
    assert names_open_to(anybody, NAMES, "default") == NAMES
    must_be_open_to(anybody, "large", None)


def test_auto_is_open_to_who_may_ask_for_the_policy_behind_it() -> None:
    one = caller("cascade/default")
    must_be_open_to(one, "auto", "default")
    assert names_open_to(one, NAMES, "default") == ("auto", "cascade/default")
    assert names_open_to(one, NAMES, "other") == ("cascade/default",)


def test_what_is_not_open_is_refused_with_what_is() -> None:
    with pytest.raises(NotPermittedModel, match="it may ask for: small") as refused:
        must_be_open_to(caller("small"), "large", None)
    assert (refused.value.status, refused.value.param) == (403, "model")
    with pytest.raises(NotPermittedModel, match="nothing"):
        must_be_open_to(caller(), "auto", "default")


def test_a_viewer_calls_nothing() -> None:
    with pytest.raises(Forbidden, match="viewer"):
        must_be_open_to(Caller(tenant_id="t", key_id="k", name="n", role="viewer"), "auto", "default")
