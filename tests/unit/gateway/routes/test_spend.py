"""/admin/spend and /admin/savings over HTTP: exact sums, and nobody sees another organisation's."""

import csv
import io
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet as pq

from tests.gateway_server import OBSERVING, Running, models, serving
from tests.upstream import BadUpstream, answer

TOKEN = "operator-of-this-installation"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncGenerator[Running]:
    admin = f"admin: {{token: {TOKEN}}}\n"
    async with (
        BadUpstream() as upstream,
        serving(tmp_path, models(large=upstream.base_url), OBSERVING, admin) as running,
    ):
        upstream.will(*[answer("42")] * 3)
        yield running


def by(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def key(gateway: Running, **body: Any) -> dict[str, Any]:
    response = await gateway.http.post("/admin/keys", json={"name": "k", **body}, headers=by(TOKEN))
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    return told


async def told(gateway: Running, secret: str, path: str = "spend", **query: str) -> tuple[int, Any]:
    response = await gateway.http.get(f"/admin/{path}", params=query, headers=by(secret))
    return response.status_code, response.json()


async def spent(gateway: Running, secret: str) -> int:
    """The cost in nano-USD of one request with this key, as its own answer says."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "6 x 7?"}]}
    response = await gateway.http.post("/v1/chat/completions", json=body, headers=by(secret))
    assert response.status_code == 200, response.text
    await gateway.closed(response.headers["x-request-id"])
    return int(Decimal(response.headers["x-spillway-cost-usd"]) * 10**9)


async def test_everybody_sees_what_is_theirs_and_nothing_else(gateway: Running) -> None:
    assert (await gateway.http.post("/admin/orgs", json={"id": "acme"}, headers=by(TOKEN))).status_code == 201
    acme, member = await key(gateway, org="acme", role="admin"), await key(gateway, org="acme", role="member")
    costs = [await spent(gateway, secret) for secret in (acme["secret"], member["secret"], gateway.key)]
    for secret, query, seen in (
        (TOKEN, {}, sum(costs)),
        (TOKEN, {"org": "acme"}, costs[0] + costs[1]),
        (acme["secret"], {}, costs[0] + costs[1]),
        (member["secret"], {}, costs[1]),
        (acme["secret"], {"key": member["id"]}, costs[1]),
    ):
        status, document = await told(gateway, secret, by="org", **query)
        assert (status, document["total"]["cost_nanousd"]) == (200, seen), query
    for secret, query in ((acme["secret"], {"org": "default"}), (member["secret"], {"key": acme["id"]})):
        for path in ("spend", "savings", "export/attempts"):
            status, document = await told(gateway, secret, path, **query)
            assert (status, document["error"]["param"]) == (403, *query)


@pytest.mark.parametrize(
    ("query", "param"),
    [({"by": "colour"}, "by"), ({"since": "yesterday"}, "since"), ({"tag": "x"}, "tag"), ({"format": "xml"}, "format")],
)
async def test_a_query_that_is_wrong_is_told_what_would_be_right(
    gateway: Running, query: dict[str, str], param: str
) -> None:
    status, document = await told(gateway, TOKEN, **query)
    assert (status, document["error"]["param"]) == (400, param)


async def test_savings_compare_with_the_reference_and_a_table_can_be_had(gateway: Running) -> None:
    cost = await spent(gateway, gateway.key)
    status, document = await told(gateway, TOKEN, "savings")
    assert status == 200
    assert (Decimal(document["spent_usd"]) * 10**9, document["saved_nanousd"]) == (Decimal(cost), 0), document
    table = await gateway.http.get("/admin/spend", params={"by": "model", "format": "csv"}, headers=by(TOKEN))
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert "large" in table.text.splitlines()[1]


async def test_the_ledger_can_be_had_row_by_row_and_only_what_is_theirs(gateway: Running) -> None:
    assert (await gateway.http.post("/admin/orgs", json={"id": "acme"}, headers=by(TOKEN))).status_code == 201
    acme = await key(gateway, org="acme", role="admin")
    costs = {"acme": await spent(gateway, acme["secret"]), "default": await spent(gateway, gateway.key)}
    for secret, seen in ((TOKEN, costs), (acme["secret"], {"acme": costs["acme"]})):
        response = await gateway.http.get("/admin/export/attempts", headers=by(secret))
        assert response.status_code == 200, response.text
        assert response.headers["content-disposition"] == 'attachment; filename="attempts.csv"'
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert {row["tenant_id"]: int(row["cost_nanousd"]) for row in rows} == seen
    response = await gateway.http.get("/admin/export/requests", params={"format": "parquet"}, headers=by(TOKEN))
    table = pq.read_table(io.BytesIO(response.content))
    assert sorted(table.column("cost_nanousd").to_pylist()) == sorted(costs.values())
    for path, query, param in (
        ("export/colours", {}, "grain"),
        ("export/requests", {"model": "large"}, "model"),
        ("export/requests", {"format": "xml"}, "format"),
    ):
        status, document = await told(gateway, TOKEN, path, **query)
        assert (status, document["error"]["param"]) == (400, param)


async def test_days_that_do_not_agree_with_a_bill_are_told_to_the_operator_alone(gateway: Running) -> None:
    acme = await key(gateway, role="admin")
    assert await told(gateway, TOKEN, "variances", provider="openai") == (200, {"data": []})
    status, _ = await told(gateway, acme["secret"], "variances")
    assert status == 403
