"""What holds of every verifier: it passes, fails and abstains as it should, and nothing it does costs an answer.

Each implementation brings answers that it passes, fails and cannot judge; the same tests run on all of them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import orjson
import pytest

from router.backends.backend import Reply
from router.egress import Egress
from router.errors import BackendError, RouterError
from router.verifiers.gate import Gate, Guard
from router.verifiers.judge import JudgeVerifier
from router.verifiers.pattern import PatternVerifier
from router.verifiers.plugin import PluginVerifier
from router.verifiers.schema import SchemaVerifier
from router.verifiers.verifier import Verifier
from router.verifiers.webhook import WebhookVerifier, signature
from scorer.answer import Answer, Query
from tests.upstream import BadUpstream, Exchange, raw

QUERY = Query(id="q", messages=({"role": "user", "content": "?"},))
LOCAL = Egress([ip_network("127.0.0.0/8")])


@dataclass
class Case:
    """A verifier, and texts that it passes, fails and abstains from; None where there is none."""

    kind: str
    verifier: Verifier
    good: str
    bad: str
    unsure: str | None


def a_plugin(query: Query, answer: Answer) -> Any:
    return {"good": True, "bad": False}.get(answer.text)


async def an_async_plugin(query: Query, answer: Answer) -> str:
    return {"good": "pass", "bad": "fail"}.get(answer.text, "abstain")


async def consult(model: str, body: Mapping[str, Any], timeout_s: float) -> Reply:
    """A judge that reads its verdict off the answer."""
    shown = orjson.loads(body["messages"][1]["content"])["answer"]
    said = {"good": "Fine.\nGOOD", "bad": "Wrong.\nBAD."}.get(shown, "Who knows? GOOD or BAD, perhaps.")
    return Reply(answer=Answer(model=model, text=said), usage=None, body={}, latency_s=0.1)


async def hook(exchange: Exchange) -> None:
    said = {"good": "pass", "bad": "fail"}.get(exchange.asked.body["answer"]["text"], "abstain")
    body = orjson.dumps({"verdict": said, "reason": "seen"})
    await exchange.whole(200, body, {"content-type": "application/json"})


SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


@pytest.fixture(params=["json_schema", "regex", "regex_unwanted", "python", "python_async", "webhook", "judge"])
async def case(request: pytest.FixtureRequest) -> AsyncGenerator[Case]:
    async with BadUpstream() as upstream:
        upstream.will(hook)
        makers: dict[str, Callable[[], Case]] = {
            "json_schema": lambda: Case("json_schema", SchemaVerifier(SCHEMA), '{"n": 1}', '{"n": "x"}', None),
            "regex": lambda: Case("regex", PatternVerifier(r"^(a|aa)+$"), "aaa", "b", "a" * 60 + "b"),
            "regex_unwanted": lambda: Case("regex", PatternVerifier("no", wanted=False), "yes", "no", None),
            "python": lambda: Case("python", PluginVerifier(a_plugin), "good", "bad", "?"),
            "python_async": lambda: Case("python", PluginVerifier(an_async_plugin), "good", "bad", "?"),
            "webhook": lambda: Case(
                "webhook", WebhookVerifier(upstream.base_url, LOCAL, timeout_s=5), "good", "bad", "?"
            ),
            "judge": lambda: Case("judge", JudgeVerifier("judge", timeout_s=5), "good", "bad", "?"),
        }
        yield makers[request.param]()


async def said(verifier: Verifier, text: str, *, kind: str = "python", query: Query = QUERY) -> tuple[str, str]:
    guard = Guard(name="v", kind=kind, verifier=verifier, timeout_s=5)
    (verdict,) = await Gate([guard]).check(query, Answer(model="small", text=text), consult)
    return verdict.verdict, verdict.reason


async def test_it_passes_fails_and_abstains(case: Case) -> None:
    assert (await said(case.verifier, case.good))[0] == "pass"
    assert (await said(case.verifier, case.bad))[0] == "fail"
    if case.unsure is not None:
        verdict, reason = await said(case.verifier, case.unsure)
        assert verdict == "abstain"
        assert reason


@pytest.mark.parametrize("text", ["", "\ud800", "x" * 300_000, "[" * 50_000, "null", '{"a":' * 900])
async def test_odd_answers_get_some_verdict(case: Case, text: str) -> None:
    verdict, reason = await said(case.verifier, text)
    assert verdict in ("pass", "fail", "abstain")
    assert len(reason) <= 200


async def test_a_reason_holds_nothing_of_the_answer(case: Case) -> None:
    assert "sesame" not in (await said(case.verifier, '{"n": "sesame"}'))[1]


async def test_errors_and_overtime_are_abstentions() -> None:
    def broken(query: Query, answer: Answer) -> bool:
        raise ValueError("a bug")

    async def slow(query: Query, answer: Answer) -> bool:
        await asyncio.Event().wait()
        return True

    assert (await said(PluginVerifier(broken), "x"))[0] == "abstain"
    guard = Guard(name="v", kind="python", verifier=PluginVerifier(slow), timeout_s=0.01)
    (verdict,) = await Gate([guard]).check(QUERY, Answer(model="small", text="x"), consult)
    assert verdict.verdict == "abstain"


async def test_the_first_failure_ends_it_cheap_ones_first() -> None:
    asked: list[str] = []

    def plugin(name: str, verdict: bool | None) -> PluginVerifier:
        def call(query: Query, answer: Answer) -> bool | None:
            asked.append(name)
            return verdict

        return PluginVerifier(call)

    guards = [
        Guard(name="dear", kind="judge", verifier=plugin("dear", True)),
        Guard(name="middling", kind="webhook", verifier=plugin("middling", False)),
        Guard(name="cheap", kind="regex", verifier=plugin("cheap", None), passing="accept"),
    ]
    gate = Gate(guards)
    verdicts = await gate.check(QUERY, Answer(model="small", text="x"), consult)
    assert asked == ["cheap", "middling"]
    assert [verdict.verdict for verdict in verdicts] == ["abstain", "fail"]
    assert not gate.accepts(verdicts)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:1/x"},
        {"pattern": "^(a|aa)+$"},
        {"patternProperties": {"^(a|aa)+$": {}}},
    ],
)
async def test_schemas_of_requests_lead_nowhere_and_take_no_time(schema: dict[str, Any]) -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    query = Query(id="q", messages=QUERY.messages, response_format=asked)
    evil = "a" * 60 + "b"
    for text in (f'"{evil}"', orjson.dumps({evil: 1}).decode()):
        assert (await said(SchemaVerifier(None), text, query=query))[0] in ("pass", "abstain")
    assert (await said(SchemaVerifier(None), "no JSON"))[0] == "abstain"


@pytest.mark.parametrize("wrong", [SchemaVerifier, PatternVerifier])
def test_what_makes_no_verifier_is_refused(wrong: Any) -> None:
    with pytest.raises(RouterError, match="is no"):
        wrong({"type": 3} if wrong is SchemaVerifier else "(")
    with pytest.raises(RouterError, match="no installed package offers 'x'"):
        PluginVerifier.named("x")


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"pass", 200), (b"{}", 200), (b'{"verdict": "maybe"}', 200), (b'{"verdict": "pass"}', 500), (b"x" * 99_999, 200)],
)
async def test_a_webhook_that_talks_nonsense_abstains(body: bytes, code: int) -> None:
    async with BadUpstream() as upstream:
        upstream.will(raw(body, code=code))
        assert (await said(WebhookVerifier(upstream.base_url, LOCAL, timeout_s=5), "x"))[0] == "abstain"


async def test_a_webhook_is_signed_guarded_and_follows_no_redirect() -> None:
    async with BadUpstream() as upstream:
        upstream.will(raw(b"", headers={"location": "http://127.0.0.1:1/"}, code=302))
        assert (await said(WebhookVerifier(upstream.base_url, LOCAL, timeout_s=5, secret="s"), "x"))[0] == "abstain"
        asked = upstream.asked[0]
        moment = float(asked.headers["x-spillway-signature"].split(",")[0].removeprefix("t="))
        assert asked.headers["x-spillway-signature"] == signature("s", orjson.dumps(asked.body), moment)
        assert (await said(WebhookVerifier(upstream.base_url, Egress(), timeout_s=5), "x"))[0] == "abstain"
        assert len(upstream.asked) == 1


async def test_a_judge_that_fails_or_would_judge_itself_abstains() -> None:
    async def failing(model: str, body: Mapping[str, Any], timeout_s: float) -> Reply:
        raise BackendError(model, "out of order")

    gate = Gate([Guard(name="v", kind="judge", verifier=JudgeVerifier("judge", timeout_s=1))])
    for answer, ask in ((Answer(model="small", text="good"), failing), (Answer(model="judge", text="good"), consult)):
        assert [each.verdict for each in await gate.check(QUERY, answer, ask)] == ["abstain"]
