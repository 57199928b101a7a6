"""The first part of the traffic as a log that the scorer can learn from, and what it learnt, in a sentence.

Knows how an exchange becomes a logged answer, and a figure of a scorer's manifest. Knows neither training nor HTTP.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.demo.traffic import Exchange, messages
from scorer.answer import Answer, Query, Usage
from scorer.dataset import LoggedAnswer, LoggedQuery

DATASET = "spillway-demo"


def logged(exchanges: Mapping[str, Sequence[Exchange]]) -> list[LoggedQuery]:
    """One query per task, with every model's answer. exchanges : by model, each with the same tasks in one order."""
    rows = zip(*exchanges.values(), strict=True)
    return [_query(dict(zip(exchanges, row, strict=True))) for row in rows]


def how_well_it_judges(scorer: Path) -> str:
    """What the training reported on answers that it had not seen, from the scorer's manifest."""
    report = json.loads((scorer / "manifest.json").read_bytes())["report"]["out_of_fold"]
    alone, together = (report[key]["overall"]["auroc"] for key in ("alone", "together"))
    return f"AUROC on answers it has not seen: {alone:.2f}; beside another model's answer: {together:.2f}"


def _query(answers: Mapping[str, Exchange]) -> LoggedQuery:
    task = next(iter(answers.values())).task
    by_model = {model: _answer(model, exchange) for model, exchange in answers.items()}
    return LoggedQuery(
        dataset=DATASET,
        query=Query(id=task.id, messages=messages(task), task=task.family),
        split="train",
        reference=task.truth,
        answers=by_model,
        labels={model: answer.quality for model, answer in by_model.items()},
    )


def _answer(model: str, exchange: Exchange) -> LoggedAnswer:
    choice, usage = exchange.body["choices"][0], exchange.body["usage"]
    told = choice.get("logprobs")
    return LoggedAnswer(
        answer=Answer(
            model=model,
            text=exchange.text,
            finish_reason=choice["finish_reason"],
            token_logprobs=tuple(entry["logprob"] for entry in told["content"]) if told else None,
        ),
        usage=Usage(prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"]),
        quality=float(exchange.right),
        latency_s=round(exchange.latency_s, 4),
    )
