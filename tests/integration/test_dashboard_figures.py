"""Every figure of the dashboard told again by plain SQL over raw rows; few statements a page; each sees its own."""

import csv
import io
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from sqlalchemy import event, insert, text

from gateway.dashboard.facts import Facts
from gateway.database import Database
from gateway.keys import KeyRules, KeyStore
from gateway.ledger.rollups.fold import Rollups
from gateway.ledger.rollups.sources import HOUR_US
from gateway.tenancy.tables import virtual_keys
from tests.dashboard_seed import NOW, Call, Ledger, reference_for
from tests.dashboard_visit import PAGES, TOKEN, visitor
from tests.databases import ENGINES, fresh_database
from tests.furnished import LONG, furnish, furnished_month, label

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOST_STATEMENTS = 12  # of a page, the session's included
SINCE = int((NOW - timedelta(days=29)).replace(hour=0, minute=0, second=0).timestamp()) * 1_000_000
EACH = "FROM attempts a JOIN settlements s ON s.attempt_id = a.attempt_id WHERE a.tenant_id = 'default'"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Database]:
    """A furnished database of each kind, half of it rolled up; these tests only read it."""
    async with fresh_database(request.param, tmp_path_factory.mktemp("ledger")) as made:
        await furnish(made)
        await label(made)
        await Rollups(made).fold(int((NOW - timedelta(days=10)).timestamp()) * 1_000_000)
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def operator(either: Database) -> AsyncGenerator[httpx.AsyncClient]:
    async with visitor(either) as client:
        await client.post("/dashboard/login", data={"key": TOKEN})
        yield client


async def table(client: httpx.AsyncClient, path: str, panel: str, **asked: str) -> list[dict[str, str]]:
    """A panel's CSV."""
    answer = await client.get(f"/dashboard{path}", params={"org": "default", "csv": panel} | asked)
    assert answer.headers["content-type"].startswith("text/csv"), answer.text[:500]
    return list(csv.DictReader(io.StringIO(answer.text)))


async def plain(database: Database, query: str) -> list[Any]:
    async with database.read() as connection:
        return [tuple(row) for row in (await connection.execute(text(query))).all()]


def usd(nanousd: Any) -> Decimal:
    return Decimal(int(nanousd or 0)) / 10**9


def total(rows: list[dict[str, str]], column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows if row[column]), Decimal(0))


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("BEGIN", "ROLLBACK", "PRAGMA", "SET LOCAL")) and "pg_catalog" not in statement:
            sent.append(statement)

    engine = database._reader.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_spend_and_savings_are_those_of_the_rows(either: Database, operator: httpx.AsyncClient) -> None:
    [(requests, spent)] = await plain(
        either,
        f"SELECT (SELECT count(*) FROM requests WHERE tenant_id = 'default' AND created_us >= {SINCE}), "
        f"(SELECT sum(s.amount_nanousd) {EACH} AND a.opened_us >= {SINCE})",
    )
    for panel, column in (("spend", "spent_usd"), ("purposes", "spent_usd"), ("models", "spent_usd")):
        assert total(await table(operator, "", panel), column) == usd(spent), panel
    assert total(await table(operator, "", "spend"), "requests") == requests
    costs = (
        "SELECT c.status AS status, c.reference_nanousd AS reference, r.reference_model AS model, "
        "(SELECT count(*) FROM attempts a LEFT JOIN settlements s ON s.attempt_id = a.attempt_id "
        " WHERE a.decision_id = r.decision_id AND s.amount_nanousd IS NULL) AS unknown, "
        "(SELECT coalesce(sum(s.amount_nanousd), 0) FROM attempts a JOIN settlements s ON s.attempt_id = a.attempt_id "
        " WHERE a.decision_id = r.decision_id) AS spent FROM requests r JOIN closings c ON c.decision_id = "
        "r.decision_id "
        f"WHERE r.tenant_id = 'default' AND r.created_us >= {SINCE}"
    )
    [(reference, compared, fruitless)] = await plain(
        either,
        "SELECT sum(CASE WHEN unknown = 0 AND reference IS NOT NULL THEN reference END), "
        "sum(CASE WHEN unknown = 0 AND reference IS NOT NULL THEN spent END), "
        "sum(CASE WHEN unknown = 0 AND reference IS NULL AND model IS NOT NULL AND status IN ('failed', 'lost', "
        "'cancelled') "
        f"THEN spent END) FROM ({costs}) AS each_one",
    )
    steps = await table(operator, "", "net")
    saved = Decimal(steps[-1]["amount_usd"])
    assert saved == usd(reference) - usd(compared) - usd(fruitless)
    assert sum(Decimal(step["amount_usd"]) for step in steps[:-1]) == saved


async def test_acceptance_and_models_are_those_of_the_rows(either: Database, operator: httpx.AsyncClient) -> None:
    found = await plain(
        either,
        f"SELECT a.policy, a.stage, a.model, count(*), sum(CASE WHEN s.state = 'rejected' THEN 1 ELSE 0 END), "
        f"sum(s.amount_nanousd) {EACH} AND a.opened_us >= {SINCE} AND a.policy IS NOT NULL GROUP BY 1, 2, 3",
    )
    rows = {(r["policy"], int(r["tier"]) - 1, r["model"]): r for r in await table(operator, "", "tiers")}
    assert len(rows) == len(found)
    for policy, stage, model, _, rejected, spent in found:
        row = rows[policy, stage, model]
        assert (int(row["spilled_over"]), Decimal(row["spent_usd"])) == (rejected, usd(spent))


@pytest.mark.parametrize("by", ["key", "team", "model", "provider", "policy", "tag:app"])
async def test_breakdowns_are_those_of_the_rows(either: Database, operator: httpx.AsyncClient, by: str) -> None:
    rows = await table(operator, "/breakdown", "breakdown", by=by)
    [(spent, calls)] = await plain(either, f"SELECT sum(s.amount_nanousd), count(*) {EACH} AND a.opened_us >= {SINCE}")
    assert total(rows, "spent_usd") == usd(spent)
    assert calls <= total(rows, "calls") <= calls + 1  # one is under way
    if by in ("key", "team", "model"):
        column = {"key": "key_id", "team": "team_id", "model": "model"}[by]
        sums = await plain(
            either, f"SELECT sum(s.amount_nanousd) {EACH} AND a.opened_us >= {SINCE} GROUP BY a.{column}"
        )
        told = (Decimal(row["spent_usd"] or 0) for row in rows)
        assert sorted(filter(None, told)) == sorted(filter(None, (usd(amount) for (amount,) in sums)))


async def test_percentiles_are_those_of_the_rows(either: Database, operator: httpx.AsyncClient) -> None:
    rows = {row["of"]: row for row in await table(operator, "/performance", "latency")}
    found = await plain(
        either,
        f"SELECT s.latency_s {EACH} AND a.policy = 'support' AND a.model = 'small' AND s.state IN ('accepted', "
        "'rejected') "
        f"AND a.opened_us >= {SINCE}",
    )
    times = [latency for (latency,) in found]
    row = rows["1 · small (support)"]
    assert int(row["count"]) == len(times)
    for percent in (50, 90, 95, 99):
        assert float(row[f"p{percent}_s"]) == pytest.approx(np.percentile(times, percent))
    [(hits,)] = await plain(
        either,
        "SELECT count(*) FROM closings c JOIN requests r ON r.decision_id = c.decision_id WHERE c.cache_status = 'HIT' "
        f"AND r.tenant_id = 'default' AND r.created_us >= {SINCE}",
    )
    assert total(await table(operator, "/performance", "cache"), "hits") == hits


async def test_labels_and_pools_and_budgets_are_those_of_the_rows(
    either: Database, operator: httpx.AsyncClient
) -> None:
    labels = await table(operator, "/quality", "labels")
    found = await plain(
        either,
        "SELECT a.model, a.stage, r.policy, count(*), avg(v.label) FROM reviews v JOIN requests r ON r.decision_id = "
        "v.decision_id "
        "JOIN closings c ON c.decision_id = v.decision_id JOIN attempts a ON a.attempt_id = c.answered_attempt "
        f"WHERE r.created_us >= {SINCE} GROUP BY 1, 2, 3",
    )
    assert {(r["model"], int(r["labels"])) for r in labels} == {(model, n) for model, _, _, n, _ in found}
    assert sorted(float(r["quality"]) for r in labels) == pytest.approx(sorted(float(row[-1]) for row in found))
    pools = await table(operator, "/pools", "capacity")
    [(charged,)] = await plain(
        either, f"SELECT sum(s.amount_nanousd) {EACH} AND a.provider = 'our-own-gpus' AND a.opened_us >= {SINCE}"
    )
    assert (Decimal(pools[0]["charged_usd"]), Decimal(pools[0]["idle_usd"])) == (usd(charged), usd(100 * 1_900_000))
    budgets = await table(operator, "/budgets", "budgets")
    assert total(budgets, "spent_usd") == usd(310_000_000 + 150_000_000 + 5_200_000)
    assert total(budgets, "set_aside_usd") == usd(40_000_000)


async def test_a_page_takes_few_statements(either: Database, operator: httpx.AsyncClient) -> None:
    for page in PAGES:
        with counted(either) as sent:
            answer = await operator.get(f"/dashboard{page}")
        assert answer.status_code == 200, page
        assert len(sent) <= MOST_STATEMENTS, (page, sent)


async def test_what_stands_behind_a_page_can_be_sent_as_it_is(either: Database, operator: httpx.AsyncClient) -> None:
    for page in ("", "/performance", "/breakdown", "/quality", "/pools"):
        shown = (await operator.get(f"/dashboard{page}", params={"sql": "1", "org": "default"})).text
        statements = re.findall(r"<code>(.*?)</code>", shown, re.DOTALL)
        assert statements, page
        for statement in statements:
            raw = (
                statement.replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&#39;", "'")
                .replace("&#34;", '"')
                .replace("&amp;", "&")
            )
            async with either.read() as connection:
                await connection.exec_driver_sql(raw.replace("%%", "%") if either.is_sqlite else raw)


@pytest.mark.parametrize(
    ("rules", "team", "key"),
    [
        (KeyRules(role="viewer"), None, None),
        (KeyRules(role="admin", team_id="team_search"), "team_search", None),
        (KeyRules(role="viewer", team_id=LONG), LONG, None),
    ],
)
async def test_each_sees_its_own(tmp_path: Path, rules: KeyRules, team: str | None, key: str | None) -> None:
    async with fresh_database("sqlite", tmp_path) as database, visitor(database) as client:
        await furnish(database, 200)
        _, secret = await KeyStore(database).create("mine", rules=rules)
        await client.post("/dashboard/login", data={"key": secret})
        where = f"a.tenant_id = 'default' AND a.opened_us >= {SINCE}" + (f" AND a.team_id = '{team}'" if team else "")
        query = (
            "SELECT sum(s.amount_nanousd) FROM attempts a JOIN settlements s ON s.attempt_id = a.attempt_id "
            f"WHERE {where}"
        )
        [(spent,)] = await plain(database, query)
        for asked in ({}, {"org": "another"}, {"team": "team_search", "org": "x"} if team else {}):
            assert total(await table(client, "", "spend", **asked), "spent_usd") == usd(spent)
        assert (await client.get("/dashboard/pools")).status_code == 404
        theirs = [row["decision_id"] for row in furnished_month(200).rows["requests"] if row["tenant_id"] == "another"]
        assert (await client.get(f"/dashboard/decisions/{theirs[0]}")).status_code == 404
        others = [
            r
            for r in furnished_month(200).rows["requests"]
            if r["tenant_id"] == "default" and r["team_id"] not in (None, team)
        ]
        assert (await client.get(f"/dashboard/decisions/{others[0]['decision_id']}")).status_code == (
            404 if team else 200
        )


async def test_a_member_sees_its_own_requests_alone(tmp_path: Path) -> None:
    async with fresh_database("sqlite", tmp_path) as database, visitor(database) as client:
        info, secret = await KeyStore(database).create("app")
        ledger = Ledger()
        mine = ledger.request(NOW, [Call(model="small")], key=info.key_id)
        theirs = ledger.request(NOW, [Call(model="large")])
        await ledger.write(database)
        await client.post("/dashboard/login", data={"key": secret})
        assert total(await table(client, "", "spend"), "spent_usd") == usd(Call(model="small").amount)
        assert (await client.get(f"/dashboard/decisions/{mine}")).status_code == 200
        assert (await client.get(f"/dashboard/decisions/{theirs}")).status_code == 404
        refused = await client.post("/dashboard/reviews", data={"decision": mine, "label": "good"})
        assert (refused.status_code, "role admin" in refused.text) == (403, True)


async def test_a_label_is_kept_once_a_reviewer(tmp_path: Path) -> None:
    async with fresh_database("sqlite", tmp_path) as database, visitor(database) as client:
        ledger = Ledger()
        decision = ledger.request(NOW, [Call(model="small", score=0.7, threshold=0.6)])
        await ledger.write(database)
        await client.post("/dashboard/login", data={"key": TOKEN})
        assert decision in (await client.get("/dashboard/review")).text
        for word in ("bad", "good"):
            kept = await client.post(
                "/dashboard/reviews", data={"decision": decision, "label": word, "next": "/dashboard/review"}
            )
            assert (kept.status_code, kept.headers["location"]) == (303, "/dashboard/review")
        assert decision not in (await client.get("/dashboard/review")).text
        assert "You said: good" in (await client.get(f"/dashboard/decisions/{decision}")).text
        assert [(row["labels"], row["quality"]) for row in await table(client, "/quality", "labels")] == [("1", "1.0")]
        for wrong in ({"decision": decision, "label": "best"}, {"decision": "dec_0", "label": "good"}, {}):
            assert (await client.post("/dashboard/reviews", data=wrong)).status_code == 404
        elsewhere = {"sec-fetch-site": "cross-site"}
        assert (
            await client.post("/dashboard/reviews", data={"decision": decision, "label": "bad"}, headers=elsewhere)
        ).status_code == 404


@pytest.mark.parametrize("requests", [0, 1])
async def test_nothing_and_next_to_nothing_are_shown_in_words(tmp_path: Path, requests: int) -> None:
    async with fresh_database("sqlite", tmp_path) as database, visitor(database, Facts()) as client:
        ledger = Ledger()
        call = Call(model="large")
        for _ in range(requests):
            ledger.request(
                NOW,
                [Call(model="small", state="rejected", score=0.1, threshold=0.5), call],
                reference=reference_for(call),
            )
        await ledger.write(database)
        await client.post("/dashboard/login", data={"key": TOKEN})
        for page in PAGES:
            for days in (1, 30):
                shown = await client.get(f"/dashboard{page}?days={days}")
                assert shown.status_code == 200, page
                assert "nan" not in re.sub(r"<[^>]*>", "", shown.text), page
        text = (await client.get("/dashboard")).text
        assert ("No requests yet" in text) == (requests == 0)
        assert ('class="card worse"' in text) == (requests == 1)


async def test_ten_thousand_keys_are_shown_as_the_dearest_and_the_rest(tmp_path: Path) -> None:
    async with fresh_database("sqlite", tmp_path) as database, visitor(database) as client:
        ledger = Ledger()
        for n in range(10_000):
            ledger.request(NOW - timedelta(seconds=n), [Call(model="small", prompt=n + 1)], key=f"key_{n:05}")
        await ledger.write(database)
        named = {"tenant_id": "default", "display_prefix": "", "role": "member", "created_us": 1}
        rows = [named | {"key_id": f"key_{n:05}", "name": f"app {n}", "secret_sha256": f"{n}"} for n in range(10_000)]
        async with database.write() as connection:
            await connection.execute(insert(virtual_keys), rows)
        await Rollups(database).fold(int(NOW.timestamp()) * 1_000_000 + 2 * HOUR_US)
        await client.post("/dashboard/login", data={"key": TOKEN})
        with counted(database) as sent:
            page = (await client.get("/dashboard/breakdown")).text
        assert len(sent) <= MOST_STATEMENTS
        assert "9,950 more rows are in the CSV" in page
        assert "9985 others" in page
        assert len(page) < 200_000
        rows_ = await table(client, "/breakdown", "breakdown")
        assert (len(rows_), rows_[0]["key"]) == (10_000, "app 9999")
