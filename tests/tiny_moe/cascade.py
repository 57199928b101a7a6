"""A cascade from the tiny mixture of experts to a far better model, through the gateway, by the real client: figures.

Scorer and strategy come of one set of tasks, the figures of another. Knows no engine: whoever serves the mixture.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from openai import AsyncOpenAI

from router.catalog import UNIT
from scorer.answer import Answer, Query, Usage
from scorer.dataset import LoggedAnswer, LoggedQuery, write_log
from scorer.evaluation import auroc
from scorer.scoring import Scorer
from tests.acceptance.served import serving, spillway
from tests.tiny_moe.tasks import Task, different

N = int(os.environ.get("SPILLWAY_TINY_MOE_TASKS", "1200"))
CONFIG = """
prices: prices.json
cache: {{enabled: false}}
models:
  - {{name: tiny-moe, backend: openai_compatible, base_url: "{tiny}", max_output_tokens: 40, ask_logprobs: true}}
  - {{name: stronger, backend: openai_compatible, base_url: "{strong}", max_output_tokens: 40}}
policies:
"""
OBSERVING = "  - {name: default, safe_model: stronger}\n"
POLICY = "  - {{name: {0}, safe_model: stronger, scorer: {0}, strategy: {0}.json, unlike_rate: 0}}\n"
PRICES = {
    "unit": UNIT,
    "models": {name: {"input": rate, "output": 4 * rate} for name, rate in (("tiny-moe", 0.1), ("stronger", 2.5))},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One task as the client saw it answered."""

    task: Task
    answer: LoggedAnswer
    cost_usd: Decimal
    shown_logprobs: bool


def measured(config: str, folder: Path) -> list[str]:
    """Lines of figures. config : the head of a configuration with both models being served, as ``CONFIG`` makes it.

    Trains with and without log-probabilities on one set of tasks, and measures on another.
    """
    (folder / "prices.json").write_text(json.dumps(PRICES))
    train, test = different(101, N), different(102, N, frozenset(task.question for task in different(101, N)))
    both: dict[str, list[LoggedQuery]] = {}
    with gateway(folder, config + OBSERVING) as (url, key):
        for split, tasks in (("train", train), ("test", test)):
            each = [asked(url, key, model, tasks, logprobs=model == "tiny-moe") for model in ("tiny-moe", "stronger")]
            both[split] = [logged(split, pair) for pair in zip(*each, strict=True)]
    lines = [told_of(both["test"])]
    policies = ""
    for name, kept in (("with", True), ("without", False)):
        logs = {split: queries if kept else [plain(query) for query in queries] for split, queries in both.items()}
        for split, queries in logs.items():
            write_log(folder / f"{name}-{split}.jsonl", queries)
        log = ("--data", f"{name}-train.jsonl")
        spillway("train", *log, "--out", name, folder=folder)
        chosen = ("--scorer", name, *log, "--prices", "prices.json", "--match-best", "--kind", "threshold")
        spillway("optimize", *chosen, "--out", f"{name}.json", folder=folder)
        replaying = ("--strategy", f"{name}.json", "--scorer", name, "--data", f"{name}-test.jsonl")
        replayed = spillway("replay", *replaying, "--prices", "prices.json", "--json", folder=folder).stdout
        lines.append(row(name, judged(folder / name, logs["test"]), json.loads(replayed)))
        policies += POLICY.format(name)
    with gateway(folder, config + policies + "default_policy: with\n") as (url, key):
        served = {name: asked(url, key, f"cascade/{name}", test) for name in ("with", "without")}
    assert not any(one.shown_logprobs for answered in served.values() for one in answered)
    return lines + [live(name, answered, both["test"]) for name, answered in served.items()]


class gateway:  # noqa: N801  used as a context
    """A gateway with this configuration, its base URL and a key."""

    def __init__(self, folder: Path, config: str) -> None:
        self._folder = folder
        (folder / "spillway.yaml").write_text(config)
        self._serving = serving(folder / "spillway.yaml")

    def __enter__(self) -> tuple[str, str]:
        url = self._serving.__enter__()
        key = spillway("keys", "create", "measuring", folder=self._folder).stdout.strip()
        return f"{url}/v1", key

    def __exit__(self, *error: Any) -> None:
        self._serving.__exit__(*error)


def asked(
    url: str, key: str, model: str, tasks: Sequence[Task], *, logprobs: bool = False, temperature: float = 0.0
) -> list[Answered]:
    """Every task once, a few at a time."""

    async def all_of_them() -> list[Answered]:
        places = asyncio.Semaphore(4)
        async with AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:

            async def one(task: Task) -> Answered:
                async with places:
                    more: Any = {"logprobs": True} if logprobs else {}
                    raw = await client.chat.completions.with_raw_response.create(
                        model=model,
                        messages=[{"role": "user", "content": task.question}],
                        temperature=temperature,
                        **more,
                    )
                return answered(task, raw)

            return list(await asyncio.gather(*map(one, tasks)))

    return asyncio.run(all_of_them())


def answered(task: Task, raw: Any) -> Answered:
    """What came, judged."""
    completion = raw.parse()
    choice, usage = completion.choices[0], completion.usage
    told = None if choice.logprobs is None else tuple(token.logprob for token in choice.logprobs.content)
    text = choice.message.content or ""
    said = Answer(model=completion.model, text=text, finish_reason=choice.finish_reason, token_logprobs=told)
    counts = Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
    return Answered(
        task=task,
        answer=LoggedAnswer(answer=said, usage=counts, quality=float(task.is_right(text)), latency_s=None),
        cost_usd=Decimal(raw.headers["x-spillway-cost-usd"]),
        shown_logprobs=told is not None,
    )


def logged(split: str, pair: Sequence[Answered]) -> LoggedQuery:
    """A task with both models' answers, as a line of a log."""
    task, answers = pair[0].task, {one.answer.answer.model: one.answer for one in pair}
    messages = ({"role": "user", "content": task.question},)
    return LoggedQuery(
        dataset="tiny-moe",
        query=Query(id=task.question, messages=messages, task=task.kind),
        split=split,
        reference=task.answer,
        answers=answers,
        labels={model: answer.quality for model, answer in answers.items()},
    )


def plain(query: LoggedQuery) -> LoggedQuery:
    """The query as a backend without log-probabilities would have left it."""
    answers = {
        model: replace(logged, answer=replace(logged.answer, token_logprobs=None))
        for model, logged in query.answers.items()
    }
    return replace(query, answers=answers)


def judged(folder: Path, queries: Sequence[LoggedQuery]) -> tuple[float, dict[str, float]]:
    """AUROC of the scores of the mixture's answers to queries that the scorer never saw: of all, and by kind."""
    p = Scorer.load(folder).score_log(queries, "tiny-moe")
    y = np.array([query.answers["tiny-moe"].quality for query in queries])
    kinds = np.array([query.query.task for query in queries])
    by_kind = {kind: auroc(p[kinds == kind], y[kinds == kind]) for kind in sorted(set(kinds))}
    whole = auroc(p, y)
    assert whole is not None
    return whole, {kind: value for kind, value in by_kind.items() if value is not None}


def told_of(queries: Sequence[LoggedQuery]) -> str:
    """How good the models are, each alone."""
    means = {model: np.mean([query.answers[model].quality for query in queries]) for model in ("tiny-moe", "stronger")}
    alone = ", ".join(f"{model} {mean:.3f}" for model, mean in means.items())
    return f"{len(queries)} tasks to choose on, {len(queries)} others to measure on; right alone: {alone}"


def row(name: str, found: tuple[float, dict[str, float]], replayed: dict[str, Any]) -> str:
    """A replay's figures."""
    low, high = replayed["saving_ci95"]
    worse, better = replayed["quality_delta_ci95"]
    kinds = ", ".join(f"{kind} {value:.2f}" for kind, value in found[1].items())
    return (
        f"{name} log-probabilities: AUROC {found[0]:.3f} (within a kind: {kinds}); replayed: saving "
        f"{replayed['saving']:.1%} ({low:.1%} … {high:.1%}), quality {replayed['quality']:.3f}, "
        f"{replayed['quality_delta']:+.4f} ({worse:+.4f} … {better:+.4f})"
    )


def live(name: str, served: Sequence[Answered], queries: Sequence[LoggedQuery]) -> str:
    """What the client got and paid, beside the better model alone."""
    rate = [(one.answers["stronger"].usage, PRICES["models"]["stronger"]) for one in queries]  # type: ignore[index]
    alone = sum(usage.prompt_tokens * p["input"] + usage.completion_tokens * p["output"] for usage, p in rate) / 1e6
    paid = float(sum(one.cost_usd for one in served))
    right = np.mean([one.answer.quality for one in served])
    better = np.mean([query.answers["stronger"].quality for query in queries])
    kept = np.mean([one.answer.answer.model == "tiny-moe" for one in served])
    return (
        f"served {name} them: right {right:.3f} (stronger alone {better:.3f}), {kept:.0%} answered by tiny-moe, "
        f"{1000 * paid / len(served):.6f} USD per 1k, saving {1 - paid / alone:.1%}"
    )
