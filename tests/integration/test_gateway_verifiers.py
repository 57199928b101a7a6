"""Verifiers through the real gateway and the real client: what they fail is not accepted, no answer is lost."""

from decimal import Decimal
from pathlib import Path

import openai
import pytest

from gateway.config.check import load_settings
from gateway.errors import ConfigError
from gateway.policies import load_policies
from tests.gateway_server import HELLO, NumberScorer, models, serving, written
from tests.upstream import BadUpstream, answer, hang, status
from tests.wire import USAGE

ONE = Decimal(USAGE[0] * 1 + USAGE[1] * 10) / 1_000_000
JUDGE = "{name: second, kind: judge, model: judge, timeout_s: 5}"
DIGITS = "{name: digits, kind: regex, pattern: 'sure'}"


def policy(*verifiers: str, more: str = "") -> str:
    listed = ", ".join(verifiers)
    return (
        "policies: [{name: default, safe_model: large, strategy: strategy.json, scorer: scorer, "
        f"verifiers: [{listed}]{more}}}]\n"
    )


async def test_what_fails_is_escalated_and_everything_is_told(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.99"))
        large.will(answer("sure 0.9"))
        sections = (models(small=small.base_url, large=large.base_url), policy(DIGITS))
        async with serving(tmp_path, *sections) as gateway:
            raw = await gateway.client().chat.completions.with_raw_response.create(model="auto", messages=HELLO)
            assert raw.parse().choices[0].message.content == "sure 0.9"
            assert raw.headers["x-spillway-verifiers"] == "digits=pass"
            assert raw.headers["x-spillway-stop-reason"] == "last_stage"
            told = (await gateway.http.get(f"/v1/decisions/{raw.headers['x-request-id']}")).json()
            first, last = told["attempts"]
            assert (first["state"], first["verdicts"][0]["verdict"]) == ("rejected", "fail")
            assert last["verdicts"][0]["verifier"] == "digits"
            metrics = (await gateway.http.get("/metrics")).text
            assert 'spillway_verdicts_total{policy="default",verdict="fail",verifier="digits"} 1.0' in metrics


@pytest.mark.parametrize("stream", [False, True])
async def test_where_everything_fails_it_is_returned_and_marked_or_refused(tmp_path: Path, stream: bool) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("0.99"))
        large.will(answer("0.98"))
        servers = models(small=small.base_url, large=large.base_url)
        async with serving(tmp_path, servers, policy(DIGITS)) as gateway:
            found = await gateway.chat(stream=stream)
            assert found.status_code == 200
            assert found.headers["x-spillway-verifiers"] == "digits=fail"
            assert found.headers["x-spillway-stop-reason"] == "failed_verification"
            assert found.headers["x-spillway-model"] == "large"
        async with serving(tmp_path, servers, policy(DIGITS, more=", on_failed_verification: refuse")) as gateway:
            with pytest.raises(openai.InternalServerError) as refused:
                await gateway.client(max_retries=2).chat.completions.create(model="auto", messages=HELLO)
            assert refused.value.code == "failed_verification"
        assert len(small.asked) == len(large.asked) == 2  # nothing was paid twice


async def test_a_pass_may_accept_without_the_scorer(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large:
        small.will(answer("sure 0.1"))
        sections = (models(small=small.base_url, large=large.base_url), policy(DIGITS[:-1] + ", when_passed: accept}"))
        async with serving(tmp_path, *sections) as gateway:
            found = await gateway.chat()
            assert found.headers["x-spillway-model"] == "small"
            assert found.headers["x-spillway-stop-reason"] == "accepted"
        assert not large.asked


async def test_a_judge_is_paid_for_by_the_request(tmp_path: Path) -> None:
    async with BadUpstream() as small, BadUpstream() as large, BadUpstream() as judge:
        small.will(answer("0.99"))
        judge.will(answer("Right.\nGOOD"))
        sections = (models(small=small.base_url, large=large.base_url, judge=judge.base_url), policy(JUDGE))
        async with serving(tmp_path, *sections) as gateway:
            found = await gateway.chat()
            assert found.headers["x-spillway-model"] == "small"
            assert found.headers["x-spillway-verifiers"] == "second=pass"
            assert Decimal(found.headers["x-spillway-cost-usd"]) == 2 * ONE
            told = await gateway.decision(found)
            assert Decimal(told["cost_usd"]) == 2 * ONE
            paid = {attempt["model"]: attempt for attempt in told["attempts"]}
            assert set(paid) == {"small", "judge"}
            assert all(Decimal(attempt["reserved_usd"]) >= ONE for attempt in paid.values())


@pytest.mark.parametrize("fault", ["fails", "hangs", "nonsense"])
async def test_a_judge_out_of_order_costs_no_answer(tmp_path: Path, fault: str) -> None:
    async with BadUpstream() as small, BadUpstream() as large, BadUpstream() as judge:
        small.will(answer("0.99"))
        judge.will({"fails": status(500), "hangs": hang("before_headers"), "nonsense": answer("42")}[fault])
        servers = models(small=small.base_url, large=large.base_url, judge=judge.base_url)
        async with serving(tmp_path, servers, policy(JUDGE.replace("5", "0.3"))) as gateway:
            found = await gateway.chat()
            assert found.status_code == 200
            assert found.headers["x-spillway-model"] == "small"
            assert found.headers["x-spillway-verifiers"] == "second=abstain"
            told = await gateway.decision(found)
            assert {attempt["model"]: attempt["state"] for attempt in told["attempts"]}["small"] == "accepted"
            assert all(attempt["state"] != "open" for attempt in told["attempts"])


@pytest.mark.parametrize(
    ("verifier", "field", "said"),
    [
        ("{name: v, kind: regex}", "pattern", "is required"),
        ("{name: v, kind: regex, pattern: '('}", "pattern", "is no regular expression"),
        ("{name: v, kind: regex, pattern: x, model: small}", "model", "belongs to another kind"),
        ("{name: v, kind: judge, model: nobody}", "model", "there is no chat model 'nobody'"),
        ("{name: v, kind: python, entry_point: x}", "entry_point", "no installed package offers 'x'"),
        ("{name: v, kind: json_schema, schema_file: none.json}", "schema_file", "No such file"),
        ("{name: v, kind: webhook, url: 'ftp://x'}", "url", "must be a URL"),
        (f"{DIGITS}, {DIGITS}", "name", "already the name"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path: Path, verifier: str, field: str, said: str) -> None:
    urls = {"small": "http://127.0.0.1:1/v1", "large": "http://127.0.0.1:1/v1"}
    path = written(tmp_path, models(**urls), policy(verifier))
    with pytest.raises(ConfigError) as refused:
        load_policies(load_settings(path, env={}), lambda _folder: NumberScorer())
    assert field in str(refused.value)
    assert said in str(refused.value)
