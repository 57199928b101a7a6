"""A canary answers its share of conversations beside the policy's strategy, and every trace says which one it was."""

import asyncio
from pathlib import Path

import httpx
import pytest

from gateway.config.check import load_settings
from gateway.errors import ConfigError
from gateway.ledger.reports import Reports
from router.strategy import Stage, Strategy
from tests.gateway_server import CASCADE, Running, models, serving, written
from tests.upstream import BadUpstream, answer

TRIED = Strategy.of(
    (Stage(model="small", threshold=0.1), Stage(model="large")),
    reference_model="large", safe_model="large", scorer_version="stub",
)  # fmt: skip
POLICY = (
    "policies: [{name: default, safe_model: large, strategy: strategy.json, scorer: scorer, "
    "canary: {strategy: second.json, share: 0.5}}]\n"
)


async def test_some_conversations_are_the_canarys_and_stay_so(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"))
        large.will(answer("the large answer"))
        TRIED.dump(tmp_path / "second.json")
        sections = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, sections, POLICY) as gateway:
            told: dict[int, tuple[str, str]] = {}
            for n in range(12):
                first = [{"role": "user", "content": f"question {n}"}]
                more = [{"role": "assistant", "content": "…"}, {"role": "user", "content": "and then?"}]
                for turns in (first, first + more):
                    response = await gateway.chat(messages=turns, temperature=1)
                    said = (response.headers["x-spillway-strategy"], response.headers["x-spillway-model"])
                    assert told.setdefault(n, said) == said
                    decision = await gateway.closed(response.headers["x-request-id"])
                    tried = said == (TRIED.id, "small")
                    assert tried or said[1] == "large"
                    assert decision.tags.get("spillway.canary") == ("0.5" if tried else None)
                    assert decision.strategy_id == said[0]
            assert len(set(told.values())) == 2
            rows = {row.heading: row for row in await Reports(gateway.database).spend("tag:spillway.canary")}
            assert rows["0.5"].requests == 2 * sum(one == (TRIED.id, "small") for one in told.values())


@pytest.mark.parametrize(
    ("canary", "words"),
    [
        ("{strategy: none.json}", r"policies\[0\]\.canary\.strategy: there is no file"),
        ("{strategy: second.json, share: 0.9}", r"policies\[0\]\.canary\.share"),
        ("{share: 0.1}", r"policies\[0\]\.canary\.strategy"),
    ],
)
def test_a_canary_that_cannot_be_is_refused_where_it_is_written(tmp_path: Path, canary: str, words: str) -> None:
    policy = f"policies: [{{name: default, safe_model: large, canary: {canary}}}]\n"
    TRIED.dump(tmp_path / "second.json")
    with pytest.raises(ConfigError, match=words):
        load_settings(written(tmp_path, models(large="http://127.0.0.1:9/v1"), policy), env={})


ADMIN = "admin: {token: a-token-of-the-operators}\n"


async def sign_in(gateway: Running, key: str) -> None:
    await gateway.http.post("/dashboard/login", data={"key": key}, headers={"origin": gateway.url})


async def tries(gateway: Running, **form: str) -> httpx.Response:
    return await gateway.http.post(
        "/dashboard/canaries", data={"of": "default"} | form, headers={"origin": gateway.url}
    )


async def strategies(gateway: Running, conversations: int = 16) -> set[str]:
    asked = ([{"role": "user", "content": f"question {n}"}] for n in range(conversations))
    answers = [await gateway.chat(messages=messages, temperature=1) for messages in asked]
    return {answer.headers["x-spillway-strategy"] for answer in answers}


async def test_the_operator_tries_what_the_slider_says_in_every_process_and_ends_it(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"))
        sections = models(small=small.base_url, large=large.base_url)
        async with (
            serving(tmp_path, sections, CASCADE, ADMIN) as gateway,
            serving(tmp_path, sections, CASCADE, ADMIN) as other,
        ):
            (today,) = await strategies(gateway)
            await sign_in(gateway, "a-token-of-the-operators")
            done = await tries(gateway, threshold="0.3", share="0.5")
            assert (done.status_code, done.headers["location"]) == (303, "/dashboard/strategy?policy=default")
            both = await strategies(gateway)
            assert len(both) == 2
            assert today in both
            async with asyncio.timeout(60):
                while await strategies(other) != both:  # noqa: ASYNC110 - it looks every few seconds
                    await asyncio.sleep(0.2)
            page = (await gateway.http.get("/dashboard/strategy?policy=default")).text
            assert "the canary, on 50" in page
            assert (await tries(gateway, end="1")).status_code == 303
            assert await strategies(gateway) == {today}


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"of": "another", "threshold": "0.3", "share": "0.5"}, 404, "no such policy"),
        ({"threshold": "0.3", "share": "0.7"}, 400, "share must be one of"),
        ({"threshold": "much", "share": "0.5"}, 400, "threshold must be where"),
        ({"threshold": "2", "share": "0.5"}, 400, "threshold must be where"),
        ({"threshold": "0.8", "share": "0.5"}, 400, "stands where it stands today"),
    ],
)
async def test_what_cannot_be_tried_is_refused_in_words(
    tmp_path: Path, form: dict[str, str], status: int, words: str
) -> None:
    sections = models(small="http://127.0.0.1:9/v1", large="http://127.0.0.1:9/v1")
    async with serving(tmp_path, sections, CASCADE, ADMIN) as gateway:
        await sign_in(gateway, "a-token-of-the-operators")
        refused = await tries(gateway, **form)
        assert (refused.status_code, words in refused.text) == (status, True), refused.text


async def test_nobody_but_the_operator_tries_and_not_from_elsewhere(tmp_path: Path) -> None:
    TRIED.dump(tmp_path / "second.json")
    sections = models(small="http://127.0.0.1:9/v1", large="http://127.0.0.1:9/v1")
    async with serving(tmp_path, sections, POLICY, ADMIN) as gateway:
        await sign_in(gateway, gateway.key)
        assert (await tries(gateway, threshold="0.3", share="0.5")).status_code == 403
        await sign_in(gateway, "a-token-of-the-operators")
        written = await tries(gateway, threshold="0.3", share="0.5")
        assert (written.status_code, "The configuration names" in written.text) == (409, True)
        form = {"of": "default", "end": "1"}
        headers = {"origin": "https://elsewhere.test", "sec-fetch-site": "cross-site"}
        assert (await gateway.http.post("/dashboard/canaries", data=form, headers=headers)).status_code == 403
