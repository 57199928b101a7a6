"""Questions are asked, checked and logged; what is not answered is told."""

import asyncio
from pathlib import Path

import pytest

from gateway.demo.errors import TrafficFailed
from gateway.demo.logbook import logged
from gateway.demo.simulated import MODELS
from gateway.demo.tasks import check, generate
from gateway.demo.traffic import asks_logprobs, send
from scorer.dataset import read_log, write_log

TASKS = generate(4, 40)


def test_exchanges_come_in_the_order_of_the_questions(simulators: str) -> None:
    done: list[None] = []
    exchanges = asyncio.run(send(simulators, "none", "simulated-small", TASKS, done=lambda: done.append(None)))
    assert [exchange.task for exchange in exchanges] == list(TASKS)
    assert len(done) == len(TASKS)
    for exchange in exchanges:
        assert exchange.right == check(exchange.task.truth, exchange.text)
        assert exchange.cost_usd is None  # nobody priced it


@pytest.mark.parametrize("case", ["unknown model", "nobody there"])
def test_a_request_that_fails_is_told(simulators: str, case: str) -> None:
    url, model = (simulators, "gpt-9") if case == "unknown model" else ("http://127.0.0.1:1/v1", "simulated-small")
    with pytest.raises(TrafficFailed, match="answered 404" if case == "unknown model" else "did not answer"):
        asyncio.run(send(url, "none", model, TASKS[:3]))


def test_a_log_of_the_traffic_is_read_back_as_it_was_written(simulators: str, tmp_path: Path) -> None:
    exchanges = {model: asyncio.run(send(simulators, "none", model, TASKS[:10])) for model in MODELS}
    queries = logged(exchanges)
    assert write_log(tmp_path / "traffic.jsonl.gz", queries) == 10
    assert read_log([tmp_path / "traffic.jsonl.gz"]).queries == tuple(queries)
    for query, task in zip(queries, TASKS, strict=False):
        assert query.reference == task.truth
        assert set(query.answers) == set(MODELS)
        for model, answer in query.answers.items():
            assert answer.quality == query.labels[model] == float(check(task.truth, answer.answer.text))
            assert (answer.answer.token_logprobs is not None) is asks_logprobs(task)
            assert len(answer.answer.token_logprobs or ()) in (0, answer.usage.completion_tokens)
