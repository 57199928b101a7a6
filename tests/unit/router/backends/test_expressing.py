"""What an upstream is told of the output limit: the request's own, else the model's documented one, by its own name."""

from typing import Any

import pytest

from router.backends.backend import Call
from router.backends.expressing import Expressing
from router.hints import HINTS
from tests.unit.router.cascades import Model


@pytest.mark.parametrize(
    ("body", "renames", "sent"),
    [
        ({}, False, {"max_tokens": 50}),
        ({"max_tokens": None}, False, {"max_tokens": 50}),
        ({"max_tokens": 7}, False, {"max_tokens": 7}),
        ({"max_completion_tokens": 7}, False, {"max_completion_tokens": 7}),
        ({}, True, {"max_completion_tokens": 50}),
    ],
)
async def test_a_request_without_an_output_limit_gets_the_model_s(
    body: dict[str, Any], renames: bool, sent: dict[str, Any]
) -> None:
    model = Model("m")
    limited = Expressing(model, HINTS, renames_limit=renames, output_limit=50)
    await limited.complete(Call(request_id="r", body=body))
    assert [chunk async for chunk in limited.stream(Call(request_id="r", body=body))]
    assert [dict(call.body) for call in model.calls] == [sent, sent]


async def test_a_model_without_a_documented_limit_is_asked_as_it_was() -> None:
    model = Model("m")
    body: dict[str, Any] = {"messages": []}
    await Expressing(model, HINTS).complete(Call(request_id="r", body=body))
    assert model.calls[0].body is body
