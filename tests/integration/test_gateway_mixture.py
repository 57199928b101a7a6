"""A tier that is made of several models, through the gateway: what a client gets, what is called, what it costs."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.ledger.reports import Span
from gateway.ledger.tables import attempts, settlements
from gateway.transcripts.log import lines
from gateway.transcripts.partitioned import paid
from gateway.transcripts.store import TranscriptStore
from router.mixture import Mixture
from router.strategy import Stage, Strategy
from tests.databases import rows_of
from tests.gateway_server import HELLO, OBSERVING, PRICE, Running, serving
from tests.upstream import BadUpstream, answer, die, hang, status
from tests.wire import USAGE

INPUT_NANOUSD, OUTPUT_NANOUSD = 1_000, 10_000
ONE_CALL = USAGE[0] * INPUT_NANOUSD + USAGE[1] * OUTPUT_NANOUSD
POLICY = "policies: [{name: default, safe_model: panel, strategy: mixed.json, scorer: scorer, cache: 'off'}]\n"


def models(small: str, large: str, mixture: str, more: str = "") -> str:
    """The parts, and a model ``panel`` made of them."""
    parts = "".join(
        f"  - {{name: {name}, backend: openai_compatible, base_url: '{url}', {PRICE}, max_output_tokens: 4096}}\n"
        for name, url in (("small", small), ("large", large))
    )
    return f"models:\n{parts}  - {{name: panel, backend: mixture, mixture: {{{mixture}}}{more}}}\n"


def mixed(folder: Path, *stages: Stage) -> None:
    strategy = Strategy.of(stages, reference_model=stages[-1].model, safe_model="panel", scorer_version="stub")
    strategy.dump(folder / "mixed.json")


async def settled(gateway: Running, n: int) -> list[dict[str, Any]]:
    """The attempts with what they were put down at, in the order of their opening, once there are so many."""
    async with asyncio.timeout(20):
        while True:
            ended = {row["attempt_id"]: row for row in await rows_of(gateway.database, settlements)}
            made = await rows_of(gateway.database, attempts)
            if len(made) >= n and all(row["attempt_id"] in ended for row in made):
                whole = [{**row, **ended[row["attempt_id"]]} for row in made]
                return sorted(whole, key=lambda row: int(row["opened_us"]))
            await asyncio.sleep(0.02)


def told(body: dict[str, Any]) -> str:
    content: str = body["messages"][-1]["content"]
    return content


async def test_the_answer_is_made_of_all_proposals_and_every_call_is_paid_for_once(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("forty-one"), answer("forty-two"))
        large.will(answer("it is forty-two"))
        config = models(
            small.base_url, large.base_url, "proposers: [small, small], aggregator: large, temperature: 0.9"
        )
        async with serving(tmp_path, config, OBSERVING) as gateway:
            reply = await gateway.client().chat.completions.with_raw_response.create(
                model="panel", messages=HELLO, max_tokens=50
            )
            assert reply.parse().choices[0].message.content == "it is forty-two"
            assert reply.parse().model == "panel"
            assert Decimal(reply.headers["x-spillway-cost-usd"]) == Decimal(3 * ONE_CALL) / 10**9
            made = await settled(gateway, 3)
            report = await gateway.decision(reply.http_response)
    assert [(row["kind"], row["model"], row["state"]) for row in made] == [
        ("proposal", "small", "accepted"),
        ("proposal", "small", "accepted"),
        ("answer", "panel", "accepted"),
    ]
    assert {row["amount_nanousd"] for row in made} == {ONE_CALL}
    assert all(row["amount_nanousd"] <= row["reserved_nanousd"] for row in made)
    assert [asked.body["temperature"] for asked in small.asked] == [0.9, 0.9]
    assert [asked.body["model"] for asked in large.asked] == ["large"]
    assert all(text in told(large.asked[0].body) for text in ("hello", "forty-one", "forty-two"))
    assert "temperature" not in large.asked[0].body
    assert {call["kind"] for call in report["attempts"]} == {"proposal", "answer"}


async def test_the_answer_is_streamed_as_it_is_written(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        large.will(answer("together: yes"))
        config = models(small.base_url, large.base_url, "proposers: [small, small], aggregator: large")
        async with serving(tmp_path, config, OBSERVING) as gateway:
            stream = await gateway.client().chat.completions.create(
                model="panel", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "together: yes"
    assert [asked.streams for asked in large.asked] == [True]
    assert not any(asked.streams for asked in small.asked)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.model_extra == {"cost": pytest.approx(3 * ONE_CALL / 1e9)}


async def test_who_is_late_is_not_waited_for_and_stands_at_what_it_may_cost(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("forty-two"), hang("before_headers"))
        large.will(answer("as one said, forty-two"))
        config = models(small.base_url, large.base_url, "proposers: [small, small], aggregator: large, deadline_s: 0.5")
        async with serving(tmp_path, config, OBSERVING) as gateway:
            reply = await gateway.chat(model="panel", max_tokens=50)
            assert reply.status_code == 200, reply.text
            made = await settled(gateway, 3)
    states = sorted((row["kind"], row["state"]) for row in made)
    assert [kind for kind, _ in states] == ["answer", "proposal", "proposal"]
    late = next(row for row in made if row["state"] != "accepted")
    assert late["usage_source"] == "estimated"
    assert 0 < late["amount_nanousd"] <= late["reserved_nanousd"]
    spent = sum(row["amount_nanousd"] for row in made)
    assert Decimal(reply.headers["x-spillway-cost-usd"]) == Decimal(spent) / 10**9


async def test_too_few_proposals_fail_the_tier_before_its_aggregator_is_called(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("forty-two"), status(400), status(400))
        config = models(
            small.base_url, large.base_url, "proposers: [small, small, small], aggregator: large, quorum: 2"
        )
        async with serving(tmp_path, config, OBSERVING) as gateway:
            reply = await gateway.chat(model="panel")
            made = await settled(gateway, 3)
    assert large.asked == []
    assert reply.status_code == 200
    assert reply.json()["choices"][0]["message"]["content"] == "forty-two"  # paid for, and all there is
    assert reply.headers["x-spillway-stop-reason"] == "best_so_far"
    assert sum(row["amount_nanousd"] for row in made) == ONE_CALL


async def test_where_nobody_proposes_the_next_tier_or_a_fallback_answers(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(status(400))
        large.will(answer("I, alone"))
        config = models(
            small.base_url, large.base_url, "proposers: [small, small], aggregator: large", ", fallbacks: [large]"
        )
        async with serving(tmp_path, config, OBSERVING) as gateway:
            reply = await gateway.chat(model="panel")
            assert reply.json()["choices"][0]["message"]["content"] == "I, alone"
            assert reply.headers["x-spillway-stop-reason"] == "fallback"
            await settled(gateway, 3)
        config = models(small.base_url, large.base_url, "proposers: [small, small], aggregator: large")
        (tmp_path / "bare").mkdir()
        async with serving(tmp_path / "bare", config, OBSERVING) as gateway:
            with pytest.raises(openai.APIStatusError) as failed:
                await gateway.client().chat.completions.create(model="panel", messages=HELLO)
    assert (failed.value.status_code, failed.value.code) == (502, "quorum_missed")


async def test_where_the_aggregator_fails_what_most_proposals_say_is_the_answer(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("The answer is 41."), answer("The answer is 42."), answer("So the answer is 42."))
        large.will(status(500))
        config = models(small.base_url, large.base_url, "proposers: [small, small, small], aggregator: large")
        async with serving(tmp_path, config, OBSERVING) as gateway:
            reply = await gateway.chat(model="panel")
            made = await settled(gateway, 4)
    assert reply.status_code == 200, reply.text
    assert "42" in reply.json()["choices"][0]["message"]["content"]
    assert reply.headers["x-spillway-stop-reason"] == "best_so_far"
    assert reply.headers["x-spillway-model"] == "small"
    assert {row["state"] for row in made if row["kind"] == "answer"} == {"failed"}


@pytest.mark.parametrize(("score", "asked"), [("0.75", 2), ("0.4", 3), ("0.01", 4)])
async def test_the_more_doubt_the_more_proposals_and_none_is_asked_that_is_paid_for(
    tmp_path: Path, score: str, asked: int
) -> None:
    mixed(tmp_path, Stage(model="small", threshold=0.8), Stage(model="panel"))
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer(score))
        large.will(answer("0.9 of it"))
        config = models(
            small.base_url, large.base_url, "proposers: [small, small, small, small], aggregator: large, least: 1"
        )
        async with serving(tmp_path, config, POLICY) as gateway:
            reply = await gateway.chat()
            assert reply.headers["x-spillway-model"] == "panel"
            assert reply.headers["x-spillway-tier"] == "2"
            made = await settled(gateway, asked + 1)
    assert len(small.asked) == asked  # the first tier's answer is the first proposal
    assert [row["kind"] for row in made].count("proposal") == asked - 1
    assert {row["stage"] for row in made if row["kind"] == "proposal"} <= {1}
    assert told(large.asked[0].body).count("[Answer ") == asked


async def test_a_mixture_before_the_dearest_model_is_judged_as_any_tier(tmp_path: Path) -> None:
    mixed(tmp_path, Stage(model="panel", threshold=0.8), Stage(model="large"))
    async with BadUpstream() as small, BadUpstream() as large:
        large.will(answer("0.3"), answer("0.99"))
        config = models(small.base_url, large.base_url, "proposers: [small, small], aggregator: large")
        async with serving(tmp_path, config, POLICY) as gateway:
            reply = await gateway.chat()
            made = await settled(gateway, 4)
    assert reply.json()["choices"][0]["message"]["content"] == "0.99"
    assert [(row["kind"], row["model"], row["state"]) for row in made if row["kind"] == "answer"] == [
        ("answer", "panel", "rejected"),
        ("answer", "large", "accepted"),
    ]


async def test_a_limit_that_the_whole_mixture_could_exceed_leaves_it_out(tmp_path: Path) -> None:
    mixed(tmp_path, Stage(model="small", threshold=0.8), Stage(model="panel"))
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.3"))
        config = models(small.base_url, large.base_url, "proposers: [small, small], aggregator: large, most_tokens: 50")
        async with serving(tmp_path, config, POLICY) as gateway:
            # one call of any of them is within it, all of a mixture's together are not
            reply = await gateway.http.post(
                "/v1/chat/completions",
                json={"model": "auto", "messages": HELLO, "max_tokens": 50},
                headers={"x-spillway-max-cost-usd": "0.0025"},
            )
            made = await settled(gateway, 1)
    assert reply.json()["choices"][0]["message"]["content"] == "0.3"
    assert [row["kind"] for row in made] == ["answer"]
    assert large.asked == []


async def test_a_client_that_goes_away_hangs_up_on_all_proposers(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(hang("before_headers"))
        config = models(small.base_url, large.base_url, "proposers: [small, small], aggregator: large")
        async with serving(tmp_path, config, OBSERVING) as gateway:
            asking = asyncio.create_task(gateway.chat(model="panel"))
            await small.reached(2)
            asking.cancel()
            async with asyncio.timeout(10):
                await asyncio.gather(*(asked.hung_up.wait() for asked in small.asked))
            made = await settled(gateway, 2)
    assert [(row["kind"], row["state"]) for row in made] == [("proposal", "cancelled")] * 2
    assert large.asked == []


async def test_an_aggregator_that_dies_while_it_streams_is_told_and_paid(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        large.will(die("mid_stream"))
        config = models(small.base_url, large.base_url, "proposers: [small], aggregator: large")
        async with serving(tmp_path, config, OBSERVING) as gateway:
            with pytest.raises(openai.APIError):
                async for _ in await gateway.client().chat.completions.create(
                    model="panel", messages=HELLO, stream=True
                ):
                    pass
            made = await settled(gateway, 2)
    assert [(row["kind"], row["state"]) for row in made] == [("proposal", "accepted"), ("answer", "failed")]


async def test_tools_are_refused_by_name_as_no_answer_can_be_made_of_several_calls(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    async with BadUpstream() as small, BadUpstream() as large:
        config = models(small.base_url, large.base_url, "proposers: [small], aggregator: large")
        async with serving(tmp_path, config, OBSERVING) as gateway:
            reply = await gateway.chat(model="panel", tools=tools)
    assert reply.status_code == 400
    assert "has no tools" in reply.json()["error"]["message"]
    assert small.asked == large.asked == []


async def test_it_becomes_a_log_in_which_samples_and_what_they_were_for_are_told(tmp_path: Path) -> None:
    mixed(tmp_path, Stage(model="small", threshold=0.8), Stage(model="panel"))
    kept = "transcripts: {share: 1}\n"
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.3"), answer("0.4"))
        large.will(answer("0.9"))
        config = models(small.base_url, large.base_url, "proposers: [small, small], aggregator: large")
        async with serving(tmp_path, config, POLICY, kept) as gateway:
            decision = (await gateway.chat()).headers["x-request-id"]
            store = TranscriptStore(gateway.database)
            async with asyncio.timeout(20):
                while len(await store.of(decision)) < 4:  # the question and three answers  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            known = {"panel": Mixture(name="panel", models=("small", "small"), aggregator="large", least=2)}
            (line,) = [line async for page in lines(gateway.database, Span(), mixtures=known) for line in page]
    answers = line["answers"]
    assert {name: told["text"] for name, told in answers.items()} == {"small": "0.3", "small#2": "0.4", "panel": "0.9"}
    counts = {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1]}
    one = answers["small"]["cost_nanousd"]
    made_of = [{"model": name, **counts, "cost_nanousd": one} for name in ("small", "small#2")]
    assert answers["panel"]["proposals"] == made_of  # the first was paid for as the answer of the tier before
    assert paid(answers["panel"]) == answers["panel"]["cost_nanousd"] + 2 * one > one > 0
