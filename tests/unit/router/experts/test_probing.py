"""A 200 proves nothing: what a server leaves out is found, what it refuses is told, and every call is an attempt."""

from collections.abc import Collection

import pytest

from router.backends.http import Limits
from router.backends.openai_compatible import OpenAICompatible
from router.backends.reading import read_reply
from router.errors import ProbeFailed
from router.experts.findings import Looks, Probed
from router.experts.looking import Looker
from router.experts.probing import Probing
from router.experts.questions import QUESTIONS, Question
from router.outcome import Attempt
from router.trial import Opening
from tests import upstream as up
from tests.experts import expert

ABILITIES = {"usage", "output_limit", "logprobs", "n", "json_schema", "tools", "stream", "stream_usage"}


class Log:
    """Remembers what was opened and closed."""

    def __init__(self) -> None:
        self.opened: list[Opening] = []
        self.closed: list[Attempt] = []

    async def open(self, opening: Opening) -> None:
        self.opened.append(opening)

    def close(self, attempt: Attempt) -> None:
        self.closed.append(attempt)


async def probed(upstream: up.BadUpstream, log: Log) -> Probed:
    backend = OpenAICompatible("m", base_url=upstream.base_url, limits=Limits(total_s=20, connect_s=5))
    probing = Probing(backend, log, deployment="1", timeout_s=10)
    try:
        findings = await probing.findings()
    finally:
        await backend.aclose()
    return Probed(model="m", deployment="1", looks=Looks(), findings=findings, attempts=tuple(probing.attempts))


@pytest.mark.parametrize(
    ("drops", "lacks"),
    [
        ((), ()),
        (("logprobs",), ("logprobs",)),
        (("odd_logprobs",), ("logprobs",)),
        (("n",), ("n",)),
        (("json_schema",), ("json_schema",)),
        (("tools",), ("tools",)),
        (("output_limit",), ("output_limit",)),
        (("stream_usage",), ("stream_usage",)),
        (("usage",), ("usage", "stream_usage")),
        (("stream",), ("stream",)),
        (tuple(ABILITIES), tuple(ABILITIES)),
    ],
)
async def test_what_is_silently_left_out_is_found(drops: Collection[str], lacks: Collection[str]) -> None:
    log = Log()
    async with up.BadUpstream() as upstream:
        upstream.will(expert(drops=drops))
        found = await probed(upstream, log)
        told = [asked.headers["x-spillway-attempt"] for asked in upstream.asked]
    assert found.lacks == frozenset(lacks)
    assert {finding.ability for finding in found.findings} == ABILITIES
    assert Probed.of_json(found.as_json()) == found
    assert [opening.kind for opening in log.opened] == ["probe"] * len(QUESTIONS)
    assert [attempt.id for attempt in log.closed] == [opening.attempt_id for opening in log.opened] == told
    assert list(found.attempts) == told
    assert all(attempt.state == "accepted" for attempt in log.closed)


async def test_what_is_refused_is_lacking_too_and_says_why() -> None:
    log = Log()
    async with up.BadUpstream() as upstream:
        upstream.will(expert(refuses=("n", "tools")))
        found = await probed(upstream, log)
    assert found.lacks == {"n", "tools"}
    refused = next(finding for finding in found.findings if finding.ability == "n")
    assert refused.detail == "it was refused: HTTP 400: n is not supported"
    assert [attempt.state for attempt in log.closed].count("failed") == 2


async def test_a_failure_is_no_proof_but_for_a_stream_that_breaks() -> None:
    log = Log()
    async with up.BadUpstream() as upstream:
        upstream.will(up.status(500))
        found = await probed(upstream, log)
        assert found.lacks == {"stream", "stream_usage"}
        assert all(finding.verdict != "yes" for finding in found.findings)
        upstream.will(*[expert()] * 5, up.die("mid_stream"))
        assert (await probed(upstream, log)).lacks == {"stream", "stream_usage"}


@pytest.mark.parametrize("ability", ["json_schema", "tools"])
def test_an_answer_that_was_cut_off_before_anything_showed_is_no_proof(ability: str) -> None:
    """Engines show what a model thinks first apart from its answer, and that can be all that it had room for."""
    (question,) = (each for each in QUESTIONS if ability in each.abilities)
    choice = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "length"}
    usage = {"prompt_tokens": 9, "completion_tokens": 64}
    reply = read_reply("m", {"choices": [choice], "usage": usage}, latency_s=0.1)
    assert [finding.verdict for finding in question.judge(reply, ())] == ["unknown"]


@pytest.mark.parametrize("behaviour", [up.status(401), up.status(404), up.status(503)])
async def test_nobody_who_answers_is_no_finding(behaviour: up.Behaviour) -> None:
    log = Log()
    async with up.BadUpstream() as upstream:
        upstream.will(behaviour)
        with pytest.raises(ProbeFailed):
            await probed(upstream, log)
    assert len(log.opened) == len(log.closed) == 1


async def test_a_log_that_refuses_is_obeyed() -> None:
    class Closed(Log):
        async def open(self, opening: Opening) -> None:
            raise RuntimeError("no money")

    log = Closed()
    async with up.BadUpstream() as upstream:
        with pytest.raises(RuntimeError):
            await probed(upstream, log)
        assert upstream.asked == []
    assert log.closed == []


@pytest.mark.parametrize("engine", ["vllm", "sglang", "llama.cpp", "none"])
async def test_what_a_server_says_of_itself(engine: str) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(expert(engine=engine, context_tokens=4096))
        looks = await Looker(upstream.base_url, {}).look("m")
    assert looks == Looks(
        engine=None if engine == "none" else engine,
        serves=("m",),
        context_tokens=None if engine == "none" else 4096,
        tokenizes=True,
    )


@pytest.mark.parametrize(
    "behaviour",
    [
        expert(drops=("models", "metrics", "tokenize"), engine="none"),
        up.status(500),
        up.raw(b"\xff{"),
        up.raw(b"[1]"),
        up.raw(b'{"data": [1, {"id": 5, "max_model_len": "x"}], "tokens": 7}'),
        up.huge(5_000_000),
    ],
)
async def test_who_says_nothing_or_nonsense_is_not_known(behaviour: up.Behaviour) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(behaviour)
        looks = await Looker(upstream.base_url, {}, timeout_s=5).look("m")
    assert (looks.engine, looks.context_tokens) == (None, None)


@pytest.mark.parametrize(("owner", "engine"), [("vllm", "vllm"), ("llamacpp", "llama.cpp"), ("me", None)])
async def test_an_engine_without_metrics_is_known_by_whose_its_models_are(owner: str, engine: str | None) -> None:
    async with up.BadUpstream() as upstream:
        upstream.will(expert(drops=("metrics",), owner=owner))
        assert (await Looker(upstream.base_url, {}).look("m")).engine == engine


async def test_nobody_there() -> None:
    looks = await Looker(up.nobody_there(), {}, timeout_s=2).look("m")
    assert looks == Looks()


def test_questions_ask_for_no_more_than_a_few_tokens() -> None:
    assert sum(question.body["max_tokens"] * question.body.get("n", 1) for question in QUESTIONS) <= 200
    named = [ability for question in QUESTIONS for ability in question.abilities]
    assert sorted(named) == sorted(ABILITIES)
    assert all(isinstance(question, Question) for question in QUESTIONS)
