"""The dashboard over HTTP: who may see what, what a browser is told, and what a stranger is not."""

import re
from collections.abc import AsyncGenerator
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from gateway.dashboard.facts import Facts, PolicyFacts
from gateway.dashboard.pages import Pages, web_folder
from gateway.dashboard.session import Sessions
from gateway.database import Database, DatabaseUnavailable
from gateway.keys import KeyRules, KeyStore
from gateway.ledger.overview import Overview
from gateway.routes.dashboard import COOKIE, dashboard_router
from tests.dashboard_seed import NOW, Call, Ledger, month, reference_for

Client = httpx.AsyncClient
SCRIPT = re.search(r"/dashboard/static/spillway.js[^\"]+", Pages(web_folder()).login(then=""))[0]  # type: ignore[index]
TOKEN = "the-operators-token-of-these-tests"
FACTS = Facts(models=("small", "large"), policies=(PolicyFacts(name="support", safe_model="large"),))


def client_of(database: Database, keys: KeyStore | None, scheme: str = "http") -> Client:
    app = FastAPI()
    sessions = Sessions(lambda: database.installation_secret("dashboard"))
    app.include_router(
        dashboard_router(database, keys, sessions, lambda: FACTS, operator=lambda: TOKEN, clock=lambda: NOW)
    )
    return Client(transport=httpx.ASGITransport(app), base_url=f"{scheme}://gateway.test")


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return KeyStore(database)


@pytest.fixture
async def client(database: Database, keys: KeyStore) -> AsyncGenerator[Client]:
    async with client_of(database, keys) as made:
        yield made


@pytest.fixture
async def open_client(database: Database) -> AsyncGenerator[Client]:
    """Of a gateway that asks nobody for a key."""
    async with client_of(database, None) as made:
        yield made


async def sign_in(client: Client, secret: str, **fields: str) -> httpx.Response:
    return await client.post("/dashboard/login", data={"key": secret, **fields})


async def test_a_stranger_is_sent_to_the_form_and_back_to_where_it_wanted(client: Client, keys: KeyStore) -> None:
    asked = await client.get("/dashboard?days=7")
    assert (asked.status_code, asked.headers["location"]) == (303, "/dashboard/login?next=/dashboard%3Fdays%3D7")
    form = await client.get(asked.headers["location"])
    assert 'value="/dashboard?days=7"' in form.text
    _, secret = await keys.create("finance")
    done = await sign_in(client, secret, next="/dashboard?days=7")
    assert (done.status_code, done.headers["location"]) == (303, "/dashboard?days=7")
    page = await client.get("/dashboard?days=7")
    assert page.status_code == 200
    assert "finance" in page.text
    assert "No requests yet" in page.text


async def test_the_cookie_holds_no_key_and_no_script_or_other_site_gets_it(client: Client, keys: KeyStore) -> None:
    _, secret = await keys.create("finance")
    cookie = (await sign_in(client, secret)).headers["set-cookie"]
    assert secret not in cookie
    assert secret.removeprefix("sk-spw-") not in cookie
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/dashboard", "Max-Age=43200"):
        assert attribute in cookie
    assert "Secure" not in cookie


async def test_over_https_the_cookie_stays_there(database: Database, keys: KeyStore) -> None:
    _, secret = await keys.create("finance")
    async with client_of(database, keys, "https") as client:
        assert "; Secure" in (await sign_in(client, secret)).headers["set-cookie"]


@pytest.mark.parametrize("secret", ["", "sk-spw-nonsense", "x" * 5000, "%00\ud7ff", "<script>"])
async def test_a_wrong_key_is_refused_in_words_and_not_repeated(client: Client, secret: str) -> None:
    refused = await sign_in(client, secret)
    assert refused.status_code == 401
    assert "not known here" in refused.text
    assert "set-cookie" not in refused.headers
    assert not secret or secret not in refused.text


@pytest.mark.parametrize("form", [b"", b"&".join(b"a%d=1" % n for n in range(500)), b"\xff\x00", b"a&" * 900])
async def test_a_form_that_no_browser_sends_signs_nobody_in(client: Client, form: bytes) -> None:
    assert (await client.post("/dashboard/login", content=form)).status_code == 401


async def test_a_revoked_key_ends_its_sessions(client: Client, keys: KeyStore) -> None:
    info, secret = await keys.create("finance")
    await sign_in(client, secret)
    assert (await client.get("/dashboard")).status_code == 200
    await keys.revoke(info.key_id)
    assert (await client.get("/dashboard")).status_code == 303


async def test_signing_out_forgets_the_cookie(client: Client, keys: KeyStore) -> None:
    _, secret = await keys.create("finance")
    await sign_in(client, secret)
    left = await client.post("/dashboard/logout")
    assert (left.status_code, left.headers["location"]) == (303, "/dashboard")
    assert COOKIE not in client.cookies
    assert (await client.get("/dashboard")).status_code == 303


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"origin": "http://["},
    ],
)
async def test_a_form_of_another_site_signs_nobody_in_or_out(
    client: Client, keys: KeyStore, elsewhere: dict[str, str]
) -> None:
    _, secret = await keys.create("finance")
    refused = await client.post("/dashboard/login", data={"key": secret}, headers=elsewhere)
    assert refused.status_code == 403
    assert COOKIE not in client.cookies
    await sign_in(client, secret)
    await client.post("/dashboard/logout", headers=elsewhere)
    assert COOKIE in client.cookies


@pytest.mark.parametrize(
    "then", ["https://evil.test/", "//evil.test", "/v1/models", "/dashboardevil", "/dashboard\r\nx: y", "javascript:1"]
)
async def test_signing_in_leads_nowhere_else(client: Client, keys: KeyStore, then: str) -> None:
    _, secret = await keys.create("finance")
    assert (await sign_in(client, secret, next=then)).headers["location"] == "/dashboard"


async def test_a_forged_cookie_is_a_strangers(client: Client) -> None:
    client.cookies.set(COOKIE, "key_1.99999999999.AAAA", path="/dashboard")
    assert (await client.get("/dashboard")).status_code == 303


async def test_without_keys_everybody_sees_the_one_tenant(database: Database, open_client: Client) -> None:
    ledger = Ledger()
    ledger.request(NOW, [Call(model="small")], tenant="anonymous")
    await ledger.write(database)
    page = await open_client.get("/dashboard")
    assert page.status_code == 200
    assert "Latest decisions" in page.text
    assert "Sign out" not in page.text
    assert (await open_client.get("/dashboard/login")).headers["location"] == "/dashboard"


async def test_a_decision_of_another_tenant_is_not_told_from_none(
    database: Database, client: Client, keys: KeyStore
) -> None:
    ledger = Ledger()
    mine, theirs = (ledger.request(NOW, [Call(model="small")], tenant=tenant) for tenant in ("mine", "theirs"))
    await ledger.write(database)
    _, secret = await keys.create("finance", tenant_id="mine", rules=KeyRules(role="viewer"))
    await sign_in(client, secret)
    assert (await client.get(f"/dashboard/decisions/{mine}")).status_code == 200
    hidden, absent = [await client.get(f"/dashboard/decisions/{name}") for name in (theirs, "dec_none")]
    assert (hidden.status_code, hidden.text) == (absent.status_code, absent.text)
    assert hidden.status_code == 404


async def test_a_decision_page_shows_scores_thresholds_and_exact_lines(database: Database, open_client: Client) -> None:
    ledger = Ledger()
    calls = [Call(model="small", state="rejected", score=0.41, threshold=0.62), Call(model="large")]
    reference = reference_for(calls[1])
    decision = ledger.request(NOW, calls, reference=reference, tenant="anonymous", tags='{"team": "<b>search</b>"}')
    await ledger.write(database)
    text = (await open_client.get(f"/dashboard/decisions/{decision}")).text
    assert "The answer scored 0.41, below the threshold of 0.62." in text
    assert "this answer was given" in text
    assert "0.000068" in text  # 400 tokens at 0.05 and 120 at 0.4 USD a million
    assert "0.0017" in text
    assert "−$0.0000680" in text
    assert "&lt;b&gt;search&lt;/b&gt;" in text
    assert "<b>search" not in text


async def test_a_loss_is_shown_as_a_loss(database: Database, open_client: Client) -> None:
    ledger = Ledger()
    calls = [Call(model="small", state="rejected", score=0.1, threshold=0.6), Call(model="large")]
    ledger.request(NOW, calls, reference=reference_for(calls[1]), tenant="anonymous")
    await ledger.write(database)
    text = (await open_client.get("/dashboard")).text
    assert 'class="card worse"' in text
    assert "−$0.0000680" in text
    assert "Lost, net" in text


async def test_unknown_prices_are_a_thing_to_do_and_no_zero(database: Database, open_client: Client) -> None:
    ledger = Ledger()
    ledger.request(NOW, [Call(model="new-model", priced=False)], tenant="anonymous")
    await ledger.write(database)
    text = (await open_client.get("/dashboard")).text
    assert re.search(r"<strong class=\"name\">new-model</strong>: 1 call of unknown cost", text)
    assert '<span class="warn">unknown</span>' in text


async def test_decisions_are_paged(database: Database, open_client: Client) -> None:
    ledger = Ledger()
    ids = [ledger.request(NOW - timedelta(minutes=n), [Call(model="small")], tenant="anonymous") for n in range(45)]
    await ledger.write(database)
    seen: list[str] = []
    url = "/dashboard/decisions?days=7"
    for _ in range(2):
        text = (await open_client.get(url)).text
        seen += re.findall(r"/dashboard/decisions/(dec_[0-9a-f]+)", text)
        following = re.search(r'href="(/dashboard/decisions\?days=7&amp;before=[^"]+)">Earlier', text)
        url = following[1].replace("&amp;", "&") if following else ""
    assert seen == ids
    assert url == ""


@pytest.mark.parametrize(
    "query", ["days=0", "days=abc", "days=99999999", "before=%27", "before=" + "x" * 500, "days=&before="]
)
async def test_nonsense_in_the_address_shows_the_usual_page(open_client: Client, query: str) -> None:
    page = await open_client.get(f"/dashboard?{query}")
    assert page.status_code == 200
    assert '<a href="/dashboard" aria-current="true">30 days</a>' in page.text


@pytest.mark.parametrize("days", [1, 7, 30, 90])
async def test_every_period_shows_its_seeded_month(database: Database, open_client: Client, days: int) -> None:
    ledger = month(60)
    for row in ledger.rows["requests"]:
        row["tenant_id"] = "anonymous"
    await ledger.write(database)
    page = await open_client.get(f"/dashboard?days={days}")
    assert page.status_code == 200
    table = (await open_client.get(f"/dashboard?days={days}&csv=spend")).text.splitlines()
    assert table[0] == f"{'hour' if days == 1 else 'day'},requests,spent_usd,reference_usd,saved_usd"
    assert 1 <= len(table) - 1 <= (24 if days == 1 else days)


async def test_a_busy_ledger_is_said_to_be_busy(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_args: object, **_more: object) -> object:
        raise DatabaseUnavailable("database is locked")

    monkeypatch.setattr(Overview, "costs", busy)
    monkeypatch.setattr(KeyStore, "find", busy)
    async with client_of(database, None) as client:
        page = await client.get("/dashboard")
        assert (page.status_code, page.headers["retry-after"]) == (503, "2")
        assert "The ledger does not answer" in page.text
        assert "locked" not in page.text
    async with client_of(database, KeyStore(database)) as client:
        assert (await sign_in(client, "sk-spw-x")).status_code == 503


async def test_a_ledger_without_its_tables_is_an_error_in_words(tmp_path: object) -> None:
    bare = Database(f"sqlite+aiosqlite:///{tmp_path}/bare.db")
    async with client_of(bare, None) as client:
        page = await client.get("/dashboard")
    await bare.dispose()
    assert page.status_code == 500
    assert "The ledger cannot be read" in page.text


async def test_every_answer_is_strict_with_browsers(client: Client, open_client: Client) -> None:
    for response in (
        await open_client.get("/dashboard"),
        await open_client.get("/dashboard/decisions/dec_1"),
        await client.get("/dashboard"),
        await client.get("/dashboard/login"),
        await client.get("/dashboard/static/spillway.css"),
        await client.get("/dashboard/static/nothing.js"),
    ):
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        if response.headers.get("content-type", "").startswith("text/html"):
            assert response.headers["cache-control"] == "no-store"
            assert re.findall(r"<script[^>]*>[^<]*", response.text) == [f'<script src="{SCRIPT}" defer>']
            assert not re.search(r"\sstyle=|\son[a-z]+=", response.text)
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", response.text)


async def test_static_files_are_those_that_there_are_and_no_path(client: Client) -> None:
    sheet = await client.get("/dashboard/static/spillway.css?0")
    assert sheet.headers["content-type"].startswith("text/css")
    assert "immutable" in sheet.headers["cache-control"]
    assert (await client.get("/dashboard/static/mark.svg")).headers["content-type"].startswith("image/svg+xml")
    for name in ("../templates/base.html", "..%2f..%2fREADME.md", "spillway.css/.."):
        assert (await client.get(f"/dashboard/static/{name}")).status_code == 404
