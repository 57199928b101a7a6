"""`spillway label`: every pair in both orders, every call in the ledger, none paid twice whatever happens between."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.labelling.journal import Journal, JournalUnreadable
from gateway.ledger.tables import attempts, requests, settlements
from scorer.dataset import read_log, write_log
from scorer.logline import line_of
from tests.databases import rows_of
from tests.fakelog import fake_log
from tests.gateway_process import ROOT, spillway
from tests.gateway_server import OBSERVING, PRICE
from tests.upstream import BadUpstream, answer, hang, status
from tests.wire import Json

USAGE = (1000, 100)
CALL_NANOUSD = 1000 * 1_000 + 100 * 10_000  # at a dollar and ten a million


def graded(body: Json) -> str:
    """Right answers get 8, wrong ones 2, and whatever is shown first one more."""
    shown = json.loads(body["messages"][1]["content"])
    said = [8 if shown[place]["text"].startswith("right") else 2 for place in ("first_answer", "second_answer")]
    return f"GRADES {said[0] + 1} {said[1]}"


def configured(folder: Path, upstream: BadUpstream, price: str = PRICE) -> None:
    fields = f"backend: openai_compatible, base_url: '{upstream.base_url}', max_output_tokens: 512"
    models = f"models:\n  - {{name: large, {fields}, {price}}}\n  - {{name: judge, {fields}, {price}}}\n"
    (folder / "spillway.yaml").write_text(models + OBSERVING + "database: {url: 'sqlite+aiosqlite:///ledger.db'}\n")


def unlabelled(folder: Path, n: int, *, name: str = "log.jsonl") -> Path:
    rows = [line_of(query) for query in fake_log(n)]
    for row in rows:
        for said in row["answers"].values():
            del said["quality"]
    (folder / name).write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return folder / name


async def label(folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """The command's status and report."""
    command = ("label", "--judge", "judge", "--data", "log.jsonl", "--out", "labelled.jsonl", "--json", *more)
    ran = await asyncio.to_thread(spillway, *command, folder=folder)
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else {"said": ran.stderr}


async def ledger(folder: Path) -> tuple[list[Any], int]:
    """Attempts, and what all of them cost."""
    from gateway.database import Database

    database = Database(f"sqlite+aiosqlite:///{folder / 'ledger.db'}")
    try:
        made, paid = await rows_of(database, attempts), await rows_of(database, settlements)
        assert {row["endpoint"] for row in await rows_of(database, requests)} <= {"label"}
    finally:
        await database.dispose()
    return list(made), sum(row["amount_nanousd"] for row in paid)


async def test_answers_get_labels_of_both_orders_and_each_call_is_counted_and_paid(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer(graded, usage=USAGE))
        configured(tmp_path, upstream)
        unlabelled(tmp_path, 10)
        code, report = await label(tmp_path)
        assert code == 0, report
        assert report["answers"] == {"to_grade": 30, "graded": 30}
        asked = len(upstream.asked)
        assert report["calls"]["answered"] == asked
        assert asked + report["calls"]["answered_before"] == 40  # two pairs a query; two answers of one text are one
        assert float(report["cost_usd"]) == pytest.approx(asked * CALL_NANOUSD / 1e9)
        first, last = report["mean_grade"].values()
        assert first - last == pytest.approx(0.1)
        made, nanousd = await ledger(tmp_path)
        assert Counter(row["kind"] for row in made) == {"judge": asked}
        assert nanousd == asked * CALL_NANOUSD
        queries = read_log([tmp_path / "labelled.jsonl"]).queries
        assert [query.hash for query in queries] == [query.hash for query in fake_log(10)]
        for query in queries:
            assert query.sources == {"judge"}
            for logged in query.answers.values():
                wanted = 0.85 if logged.answer.text.startswith("right") else 0.25
                assert logged.quality == pytest.approx(wanted)

        (tmp_path / "labelled.jsonl").unlink()  # the journal knows it all
        code, report = await label(tmp_path)
        assert (code, len(upstream.asked)) == (0, asked)
        assert report["calls"]["answered_before"] == 40
        assert report["cost_usd"] == "0"
        assert float(report["cost_of_all_runs_usd"]) == pytest.approx(asked * CALL_NANOUSD / 1e9)
        assert len(read_log([tmp_path / "labelled.jsonl"]).queries) == 10


async def test_what_was_under_way_as_the_process_died_is_not_paid_again_unless_that_is_wished(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(*[answer(graded, usage=USAGE)] * 5, hang("before_headers"))
        configured(tmp_path, upstream)
        unlabelled(tmp_path, 4)
        command = ("-m", "gateway.cli", "label", "--judge", "judge", "--data", "log.jsonl", "--at-once", "1")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "--out", "labelled.jsonl", cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
        )
        await upstream.reached(6)
        process.kill()
        await process.wait()
        upstream.will(answer(graded, usage=USAGE))
        code, report = await label(tmp_path)
        assert code == 0
        calls = report["calls"]
        assert (calls["answered_before"], calls["lost_before"]) == (5, 1)
        assert calls["answered"] == 10  # of 16; with one order lost, no label can come of the other
        assert len(upstream.asked) == 16
        assert report["answers"]["graded"] < report["answers"]["to_grade"]
        made, nanousd = await ledger(tmp_path)
        assert len(made) == len(upstream.asked)
        assert nanousd > 15 * CALL_NANOUSD  # the lost one at its bound: it may have been billed

        code, report = await label(tmp_path, "--again")
        assert (code, len(upstream.asked)) == (0, 17)
        assert report["answers"]["graded"] == report["answers"]["to_grade"] == 12


async def test_a_judge_that_is_busy_is_asked_again_and_one_that_breaks_is_not(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        busy, broken = status(429, retry_after="0"), status(500)
        upstream.will(busy, busy, answer(graded, usage=USAGE), answer("UNSURE", usage=USAGE), broken, broken)
        configured(tmp_path, upstream)
        unlabelled(tmp_path, 1)
        _, report = await label(tmp_path, "--at-once", "1")
        assert report["calls"] == {
            "answered": 2,
            "of_these_unsure": 1,
            "failed_unbilled": 0,
            "failed_perhaps_billed": 1,
            "answered_before": 0,
            "lost_before": 0,
        }
        assert len(upstream.asked) == 5
        assert report["answers"]["graded"] == report["lines_written"] == 0


async def test_no_call_is_made_that_could_bring_the_cost_above_the_limit(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer(graded, usage=USAGE))
        configured(tmp_path, upstream)
        unlabelled(tmp_path, 10)
        code, report = await label(tmp_path, "--most-usd", "0.03")
        assert code == 1
        assert "could bring the cost above 0.03 USD" in report["stopped"]
        assert 0 < float(report["cost_usd"]) <= 0.03
        assert 0 < len(upstream.asked) < 40
        code, report = await label(tmp_path)
        assert (code, report["answers"]["graded"]) == (0, 30)
        _, nanousd = await ledger(tmp_path)
        assert nanousd == len(upstream.asked) * CALL_NANOUSD


async def test_a_limit_on_a_judge_without_a_price_asks_nothing(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        configured(tmp_path, upstream, price="provider: nobody")
        unlabelled(tmp_path, 2)
        code, report = await label(tmp_path, "--most-usd", "1")
        assert (code, len(upstream.asked)) == (1, 0)
        assert "nothing bounds" in report["stopped"]


async def test_labels_that_are_there_stay_and_are_graded_only_where_that_is_wished(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer(graded, usage=USAGE))
        configured(tmp_path, upstream)
        write_log(tmp_path / "log.jsonl", fake_log(4))
        code, report = await label(tmp_path)
        assert (code, "--numbers-are" in report["said"]) == (1, True)
        code, report = await label(tmp_path, "--numbers-are", "check")
        assert (code, len(upstream.asked), report["answers"]["to_grade"]) == (0, 0, 0)
        code, report = await label(tmp_path, "--numbers-are", "check", "--all")
        assert (code, len(upstream.asked), report["answers"]["graded"]) == (0, 16, 12)
        for query, before in zip(read_log([tmp_path / "labelled.jsonl"]).queries, fake_log(4), strict=True):
            assert query.sources == {"check", "judge"}
            assert query.labels == before.labels  # the check is the stronger one


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--judge nobody --out o.jsonl", "has no chat model 'nobody'; there are large, judge"),
        ("--judge judge --out log.jsonl", "is one of --data"),
        ("--judge judge --out o.jsonl --split dev", "no lines with answers of split 'dev'"),
        ("--judge judge --out o.jsonl --numbers-are judge", "--numbers-are: must be one of check, feedback, review"),
    ],
)
def test_what_cannot_be_labelled_is_said(tmp_path: Path, more: str, said: str) -> None:
    (tmp_path / "spillway.yaml").write_text(
        f"models:\n  - {{name: large, backend: openai_compatible, base_url: 'http://127.0.0.1:9/v1', {PRICE}}}\n"
        f"  - {{name: judge, backend: openai_compatible, base_url: 'http://127.0.0.1:9/v1', {PRICE}}}\n{OBSERVING}"
    )
    unlabelled(tmp_path, 2)
    ran = spillway("label", "--data", "log.jsonl", *more.split(), folder=tmp_path)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_one_process_at_a_time_holds_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "calls"), pytest.raises(JournalUnreadable, match="another process"):
        Journal(tmp_path / "calls").__enter__()


async def test_a_question_that_a_log_repeats_is_asked_once(tmp_path: Path) -> None:
    async with BadUpstream() as upstream:
        upstream.will(answer(graded, usage=USAGE))
        configured(tmp_path, upstream)
        path = unlabelled(tmp_path, 1)
        path.write_bytes(path.read_bytes() * 6)
        code, report = await label(tmp_path)
        assert (code, len(upstream.asked), report["answers"]["graded"]) == (0, 4, 18)
