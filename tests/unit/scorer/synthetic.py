"""Labelled queries made up with a known signal: sums, answered by models of different skill.

A wrong answer is off by a little and sometimes hedges; two models seldom make the same mistake. So agreement tells
much, the text tells something, and the label is what the sum says.
"""

import random
from collections.abc import Mapping
from dataclasses import replace

from scorer.answer import Answer, Query, Usage
from scorer.dataset import LoggedAnswer, LoggedQuery

SKILLS = {"small": 0.55, "middle": 0.75, "large": 0.92}


def answer(model: str, text: str, **more: object) -> Answer:
    return replace(Answer(model=model, text=text), **more)  # type: ignore[arg-type]  # whatever field a test wants


def query(text: str, **more: object) -> Query:
    asked = Query(id="q", messages=({"role": "user", "content": text},))
    return replace(asked, **more)  # type: ignore[arg-type]  # whatever field a test wants


def logged(said: Answer, quality: float) -> LoggedAnswer:
    return LoggedAnswer(answer=said, usage=Usage(prompt_tokens=10, completion_tokens=10), quality=quality)


def log(
    n: int, *, skills: Mapping[str, float] = SKILLS, seed: int = 0, logprobs: bool = False, split: str = "train"
) -> tuple[LoggedQuery, ...]:
    """n queries with an answer of every model; quality is 1 where the sum is right."""
    chance = random.Random(seed)
    return tuple(_logged_query(f"{seed}-{index}", chance, skills, logprobs, split) for index in range(n))


def relabelled(asked: LoggedQuery, qualities: Mapping[str, float]) -> LoggedQuery:
    """The same answers with other labels."""
    answers = {model: replace(entry, quality=qualities[model]) for model, entry in asked.answers.items()}
    return replace(asked, answers=answers, labels=dict(qualities))


def _logged_query(
    name: str, chance: random.Random, skills: Mapping[str, float], logprobs: bool, split: str
) -> LoggedQuery:
    one, two = chance.randint(100, 9999), chance.randint(100, 9999)
    asked = Query(
        id=name,
        messages=({"role": "user", "content": f"What is {one} + {two}? Case {name}. Say: The answer is N."},),
        task=chance.choice(["sums", "totals"]),
    )
    answers: dict[str, LoggedAnswer] = {}
    for model, skill in skills.items():
        right = chance.random() < skill
        result = one + two if right else one + two + chance.choice([-100, -10, -1, 1, 10, 100, 1000])
        hedge = "Perhaps I am not sure, but approximately. " if chance.random() < (0.1 if right else 0.5) else ""
        said = answer(
            model,
            f"{hedge}We add the two numbers step by step, {model} way. The answer is {result}.",
            finish_reason="stop",
            token_logprobs=tuple(-chance.random() * (0.2 if right else 0.8) for _ in range(20)) if logprobs else None,
        )
        answers[model] = logged(said, float(right))
    labels = {model: entry.quality for model, entry in answers.items()}
    return LoggedQuery(
        dataset="synthetic", query=asked, split=split, reference=str(one + two), answers=answers, labels=labels
    )
