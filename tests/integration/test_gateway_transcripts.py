"""Questions and answers are kept where that is switched on, shown to who may read them, and become a log."""

import asyncio
import gzip
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from gateway.cli import build
from gateway.config.check import load_settings
from gateway.errors import ConfigError
from gateway.ledger.reviews import Reviews
from gateway.transcripts.store import QUESTION, TranscriptStore
from scorer.answer import Answer, Query
from scorer.dataset import read_log
from scorer.reasons import Reason
from tests.gateway_server import CASCADE, HELLO, OBSERVING, NumberScorer, Running, models, serving, written
from tests.upstream import BadUpstream, answer

KEPT = "transcripts: {share: 1}\n"
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
CALL: Any = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


async def transcript(gateway: Running, decision_id: str, rows: int) -> dict[str, Any]:
    while len(found := await TranscriptStore(gateway.database).of(decision_id)) < rows:  # noqa: ASYNC110 - a batch later
        await asyncio.sleep(0.02)
    return found


def run(*arguments: str) -> str:
    told = CliRunner().invoke(build(arguments), arguments)
    assert told.exit_code == 0, told.output
    return told.output


async def in_thread(*arguments: str) -> str:
    return await asyncio.to_thread(run, *arguments)


async def test_every_answer_that_was_paid_for_is_kept_streamed_or_not(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31", logprobs=[-0.1234567, -0.5]))
        large.will(answer("the large answer"))
        sections = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, sections, CASCADE, KEPT) as gateway:
            for stream in (False, True):
                messages = [{"role": "user", "content": f"a question, streamed: {stream}"}]
                response = await gateway.chat(messages=messages, stream=stream)
                decision = await gateway.closed(response.headers["x-request-id"])
                kept = await transcript(gateway, decision.decision_id, rows=3)
                assert kept.pop(QUESTION)["messages"] == messages
                first, second = (kept[attempt.attempt_id] for attempt in decision.attempts)
                assert first["text"] == "it is 0.31"
                assert second["text"] == "the large answer"
                if not stream:
                    assert first["token_logprobs"] == [-0.12346, -0.5]


async def test_nothing_is_kept_unasked_nor_against_the_clients_wish(tmp_path: Path) -> None:
    for name in ("off", "on"):
        (tmp_path / name).mkdir()
    async with BadUpstream() as upstream:
        async with serving(tmp_path / "off", models(large=upstream.base_url), OBSERVING) as gateway:
            off = (await gateway.chat()).headers["x-request-id"]
            await gateway.closed(off)
        async with serving(tmp_path / "on", models(large=upstream.base_url), OBSERVING, KEPT) as gateway:
            refusing = [
                await gateway.chat(store=False),
                await gateway.chat(spillway={"transcript": False}),
                await gateway.http.post(
                    "/v1/chat/completions",
                    json={"model": "auto", "messages": [{"role": "user", "content": "x"}]},
                    headers={"x-spillway-transcript": "false"},
                ),
            ]
            wrong = await gateway.chat(spillway={"transcript": "perhaps"})
            assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "spillway.transcript")
            kept = (await gateway.chat()).headers["x-request-id"]
            await transcript(gateway, kept, rows=2)
            for response in refusing:
                assert await TranscriptStore(gateway.database).of(response.headers["x-request-id"]) == {}
    assert not _rows(tmp_path / "off")


def _rows(folder: Path) -> list[Any]:
    with closing(sqlite3.connect(folder / "spillway.db")) as connection:
        return connection.execute("SELECT decision_id FROM transcripts").fetchall()


async def test_what_is_too_long_is_not_kept(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer("x" * 2000), answer("short"))
        rules = "transcripts: {share: 1, max_bytes: 1024}\n"
        async with serving(tmp_path, models(large=upstream.base_url), OBSERVING, rules) as gateway:
            long_answer = (await gateway.chat()).headers["x-request-id"]
            long_question = await gateway.chat(messages=[{"role": "user", "content": "y" * 2000}])
            last = (await gateway.chat(messages=[{"role": "user", "content": "short"}])).headers["x-request-id"]
            await transcript(gateway, last, rows=2)
            assert set(await transcript(gateway, long_answer, rows=1)) == {QUESTION}
            assert await TranscriptStore(gateway.database).of(long_question.headers["x-request-id"]) == {}


async def test_it_becomes_a_log_that_scorers_are_trained_from(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"), answer(None, tool_calls=[CALL]))
        large.will(answer("the large answer"))
        sections = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, sections, CASCADE, KEPT) as gateway:
            escalated = (await gateway.chat()).headers["x-request-id"]
            tools = (await gateway.chat(model="small", tools=TOOLS)).headers["x-request-id"]
            await transcript(gateway, escalated, rows=3)
            await transcript(gateway, tools, rows=2)
            await Reviews(gateway.database).keep(escalated, "default", "key_1", 1.0)
            await Reviews(gateway.database).keep(escalated, "default", "key_2", 0.5)
            config = str(tmp_path / "spillway.yaml")
            told = await in_thread("transcripts", "export", "-o", str(tmp_path / "all.jsonl"), "--config", config)
            assert "2 requests, 3 answers, 1 of them labelled" in told
            out = str(tmp_path / "log.jsonl.gz")
            await in_thread("transcripts", "export", "-o", out, "--labelled", "--dev-share", "0", "--config", config)
            plain = await in_thread("transcripts", "export", "--policy", "default", "--config", config)
            assert '"query_id"' in plain
            (query,) = read_log([Path(out)]).queries
            assert (query.dataset, query.query.id, query.split) == ("default", escalated, "train")
            assert {model: logged.qualities for model, logged in query.answers.items()} == {"large": {"review": 0.75}}
            assert query.answers["large"].usage.prompt_tokens == 10
            rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
            assert {row["query_id"]: set(row["answers"]) for row in rows} == {
                escalated: {"small", "large"}, tools: {"small"},
            }  # fmt: skip
            assert rows[1]["answers"]["small"]["tool_calls"] == [CALL]
            assert rows[1]["tools"] == TOOLS
            with gzip.open(out) as packed:
                assert len(packed.readlines()) == 1
            folder = tmp_path / "folder"
            more = ("--dev-share", "0", "--shards", "2", "--config", config)
            told = await in_thread("transcripts", "export", "--parquet", str(folder), *more)
            assert "2 requests, 3 answers, 1 of them labelled" in told
            assert list(read_log([folder]).queries) == [query]
            check_ledger_costs(folder, await gateway.closed(escalated))


def check_ledger_costs(folder: Path, decision: Any) -> None:
    rows = f"read_parquet('{folder}/**/*.parquet')"
    told = duckdb.connect().execute(
        f"SELECT model, cost_nanousd, quality_nano FROM {rows} WHERE query_id = ?", [decision.decision_id]
    )
    assert {model: (cost, quality) for model, cost, quality in told.fetchall()} == {
        "small": (decision.attempts[0].amount_nanousd, None),
        "large": (decision.attempts[1].amount_nanousd, 750_000_000),
    }


async def test_it_is_let_go_of_by_whose_it_is(tmp_path: Path) -> None:
    async with (
        BadUpstream() as upstream,
        serving(tmp_path, models(large=upstream.base_url), OBSERVING, KEPT) as gateway,
    ):
        kept = (await gateway.chat()).headers["x-request-id"]
        await transcript(gateway, kept, rows=2)
        config = str(tmp_path / "spillway.yaml")
        arguments = ("transcripts", "drop", "--config", config)
        assert await asyncio.to_thread(lambda: CliRunner().invoke(build(arguments), arguments).exit_code) == 1
        assert "0 questions" in await in_thread(*arguments, "--org", "another")
        assert "2 questions" in await in_thread(*arguments, "--org", "default")
        assert await TranscriptStore(gateway.database).of(kept) == {}
        assert (await gateway.closed(kept)).status == "answered"


async def test_the_decision_page_shows_answers_side_by_side_to_who_may_read_them(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31 <b>"))
        large.will(answer("the large answer"))
        sections = models(small=small.base_url, large=large.base_url)
        admin = "admin: {token: a-token-of-the-operators}\n"
        async with serving(tmp_path, sections, CASCADE, KEPT, admin) as gateway:
            kept = (await gateway.chat()).headers["x-request-id"]
            await transcript(gateway, kept, rows=3)

            async def page(key: str) -> str:
                origin = {"origin": gateway.url}
                await gateway.http.post("/dashboard/login", data={"key": key}, headers=origin)
                return (await gateway.http.get(f"/dashboard/decisions/{kept}")).text

            shown = await page("a-token-of-the-operators")
            assert "The answers, side by side" in shown
            assert "it is 0.31 &lt;b&gt;" in shown
            assert "the large answer" in shown
            hidden = await page(gateway.key)  # a member's
            assert "Why this answer" in hidden
            assert "the large answer" not in hidden


class Explaining(NumberScorer):
    """Says why."""

    def reasons(self, query: Query, answer: Answer, others: Sequence[Answer]) -> tuple[Reason, ...]:
        assert query.messages == tuple(HELLO)
        return (Reason(feature="number_said", log_odds=-1.25), Reason(feature=f"beside {len(others)}", log_odds=0.5))


async def test_the_decision_page_says_what_moved_a_score(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("it is 0.31"))
        sections = models(small=small.base_url, large=large.base_url)
        admin = "admin: {token: a-token-of-the-operators}\n"
        async with serving(tmp_path, sections, CASCADE, KEPT, admin, load_scorer=lambda _: Explaining()) as gateway:
            kept = (await gateway.chat()).headers["x-request-id"]
            await transcript(gateway, kept, rows=3)
            login = {"key": "a-token-of-the-operators"}
            await gateway.http.post("/dashboard/login", data=login, headers={"origin": gateway.url})
            shown = (await gateway.http.get(f"/dashboard/decisions/{kept}")).text
            assert 'number said</th><td class="n">−1.25' in shown
            assert 'beside 0</th><td class="n">+0.50' in shown


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("transcripts: {share: 2}", r"transcripts\.share"),
        ("transcripts: {days: 0}", r"transcripts\.days"),
        (
            "transcripts: {share: 0.5, days: 40}\nledger: {retention: {details_days: 30}}",
            r"transcripts\.days: must be at most",
        ),
    ],
)
def test_rules_that_cannot_be_are_refused_where_they_are_written(tmp_path: Path, section: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_settings(written(tmp_path, models(large="http://127.0.0.1:9/v1"), section + "\n"), env={})
