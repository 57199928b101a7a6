"""/admin over HTTP: who gets in, what is told, what is refused and how."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway_server import OBSERVING, Running, models, serving

TOKEN = "operator-of-this-installation"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncGenerator[Running]:
    admin = f"admin: {{token: {TOKEN}}}\n"
    async with serving(tmp_path, models(large="http://127.0.0.1:1/v1"), OBSERVING, admin) as running:
        yield running


def by(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def made(gateway: Running, secret: str = TOKEN, **body: Any) -> dict[str, Any]:
    response = await gateway.http.post("/admin/keys", json={"name": "k", **body}, headers=by(secret))
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    return told


def code_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def test_nobody_gets_in_without_a_credential(gateway: Running) -> None:
    for headers in ({}, by("wrong"), by("sk-spw-unknown"), {"authorization": f"Basic {TOKEN}"}):
        async with httpx.AsyncClient(base_url=gateway.url) as stranger:
            assert code_of(await stranger.get("/admin/keys", headers=headers)) == (401, "invalid_api_key")


async def test_the_operator_manages_everything(gateway: Running) -> None:
    http, operator = gateway.http, by(TOKEN)
    org = await http.post("/admin/orgs", json={"id": "acme"}, headers=operator)
    assert (org.status_code, org.json()["id"]) == (201, "acme")
    again = await http.post("/admin/orgs", json={"id": "acme"}, headers=operator)
    assert code_of(again) == (409, "already_exists")
    team = (await http.post("/admin/teams", json={"org": "acme", "name": "search"}, headers=operator)).json()
    key = await made(gateway, org="acme", team="search", models=["auto"], max_cost_usd="0.5")
    assert (key["team"], key["max_cost_usd"], key["models"]) == (team["id"], "0.5", ["auto"])
    told = (await http.get(f"/admin/keys/{key['id']}", headers=operator)).json()
    assert told == {name: value for name, value in key.items() if name != "secret"}
    changed = await http.patch(f"/admin/keys/{key['id']}", json={"models": None}, headers=operator)
    assert (changed.json()["models"], changed.json()["max_cost_usd"]) == (None, "0.5")
    rotated = (await http.post(f"/admin/keys/{key['id']}/rotate", headers=operator)).json()
    assert (await http.get("/v1/models", headers=by(key["secret"]))).status_code == 401
    assert (await http.get("/v1/models", headers=by(rotated["secret"]))).status_code == 200
    limit = f"/admin/limits/team/{team['id']}"
    assert (await http.put(limit, json={"requests_per_minute": 5}, headers=operator)).status_code == 200
    (listed,) = (await http.get("/admin/limits", headers=operator)).json()["data"]
    assert (listed["level"], listed["id"], listed["requests_per_minute"]) == ("team", team["id"], 5)
    assert (await http.delete(f"/admin/teams/{team['id']}", headers=operator)).status_code == 204
    assert (await http.get("/v1/models", headers=by(rotated["secret"]))).status_code == 401
    assert (await http.delete("/admin/orgs/acme", headers=operator)).status_code == 204


async def test_roles_hold(gateway: Running) -> None:
    admin, member, viewer = [(await made(gateway, role=role))["secret"] for role in ("admin", "member", "viewer")]
    mine = await made(gateway, admin)
    assert mine["org"] == "default"
    for secret, status in ((admin, 201), (member, 403), (viewer, 403)):
        assert (await gateway.http.post("/admin/keys", json={"name": "x"}, headers=by(secret))).status_code == status
    seen = [len((await gateway.http.get("/admin/keys", headers=by(s))).json()["data"]) for s in (admin, viewer, member)]
    assert seen[0] == seen[1] > 4
    assert seen[2] == 1  # itself
    refused = await gateway.http.post("/admin/orgs", json={"id": "mine"}, headers=by(admin))
    assert code_of(refused) == (403, "not_permitted")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "k", "max_cost_usd": 0.1}, "max_cost_usd"),
        ({"name": "k", "max_cost_usd": "much"}, "max_cost_usd"),
        ({"name": "k", "role": "king"}, "role"),
        ({"name": "k", "colour": "red"}, "colour"),
        ({"name": " "}, "name"),
        ({}, "name"),
    ],
)
async def test_a_body_that_is_wrong_is_told_what_would_be_right(
    gateway: Running, body: dict[str, Any], param: str
) -> None:
    refused = await gateway.http.post("/admin/keys", json=body, headers=by(TOKEN))
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param


async def test_without_a_token_no_secret_is_the_operator_s(tmp_path: Path) -> None:
    async with serving(tmp_path, models(large="http://127.0.0.1:1/v1"), OBSERVING) as gateway:
        for secret in ("None", "null", "operator"):
            assert (await gateway.http.get("/admin/orgs", headers=by(secret))).status_code == 401
