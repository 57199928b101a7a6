"""The simulated models: what they are called, what they cost, how well and how fast they work, and what they say.

They have only the text of the request to go by, as a real model has: a task that they can read they work out, with the
slips of their skill; to everything else they say in words what they are. Knows no HTTP.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, Literal

import orjson

from gateway.demo.tasks import read
from gateway.demo.tokens import Saying, Token, plain, uttered
from gateway.demo.working import Skill, work_out

_TROUBLE = 0.4  # spread (log) of how treacherous a task is for all models alike, beyond what its words show
_OWN_TROUBLE = 0.7  # the same for one model only


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedModel:
    """One of them.

    input_usd_per_mtok, output_usd_per_mtok : invented list prices.
    first_token_s, token_s : about a tenth of what models of such a size take, so that a demo is quick.
    """

    name: str
    skill: Skill
    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal
    first_token_s: float
    token_s: float


MODELS: Mapping[str, SimulatedModel] = {
    model.name: model
    for model in (
        SimulatedModel(
            name="simulated-small",
            skill=Skill(slips=0.035, terse=0.15, rambles=0.15, candour=0.20),
            input_usd_per_mtok=Decimal("0.15"),
            output_usd_per_mtok=Decimal("0.60"),
            first_token_s=0.010,
            token_s=0.0001,
        ),
        SimulatedModel(
            name="simulated-medium",
            skill=Skill(slips=0.014, terse=0.10, rambles=0.08, candour=0.20),
            input_usd_per_mtok=Decimal("0.80"),
            output_usd_per_mtok=Decimal("3.20"),
            first_token_s=0.020,
            token_s=0.0003,
        ),
        SimulatedModel(
            name="simulated-large",
            skill=Skill(slips=0.006, terse=0.05, rambles=0.05, candour=0.20),
            input_usd_per_mtok=Decimal("5.00"),
            output_usd_per_mtok=Decimal("15.00"),
            first_token_s=0.040,
            token_s=0.0006,
        ),
    )
}

EXAMPLES = (
    "A shop starts the week with 48 crates. Next, 3 deliveries of 12 crates arrive. 27 of them are sold. "
    "How many crates are left in the end?",
    "We begin with 2.4 kilometres. Another 350 metres are added. Only one part in 5 remains. How many metres is that?",
    "Take the list [31, 4, 15, 9]. Turn it back to front. Add 3 to every item. What is the sum of its items?",
    'Take the word "lantern". Remove the first 2 letters. Write it backwards. Which word results?',
    "What is (17 + 25) * 8 - 30?",
)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer of a simulated model."""

    tokens: tuple[Token, ...]
    finish_reason: Literal["stop", "length"]

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)


def say(model: SimulatedModel, messages: Sequence[Mapping[str, Any]], *, seed: int, nonce: str) -> Said:
    """What the model answers to the last message of the user's; the same for the same seed, messages and nonce."""
    question = next((plain(m.get("content")) for m in reversed(messages) if m.get("role") == "user"), "")
    problem = read(question)
    if problem is None:
        return Said(uttered([Saying(_introduction(model))], Random(model.name)), "stop")
    prompt = hashlib.sha256(orjson.dumps(list(messages), option=orjson.OPT_SORT_KEYS)).hexdigest()
    rng = Random(f"{seed} {model.name} {prompt} {nonce}")
    shared = Random(f"{seed} {question}")  # what is hard about a task is so for every model
    trouble = math.exp(shared.gauss(0, _TROUBLE) + rng.gauss(0, _OWN_TROUBLE))
    sayings, ended = work_out(problem, model.skill, trouble, rng, shared)
    return Said(uttered(sayings, rng), "stop" if ended else "length")


def cut(said: Said, *, max_tokens: int | None, stop: Sequence[str]) -> Said:
    """The answer as far as a token limit and stop sequences let it go."""
    tokens, finish_reason = list(said.tokens), said.finish_reason
    if max_tokens is not None and len(tokens) > max_tokens:
        tokens, finish_reason = tokens[:max_tokens], "length"
    text = "".join(token.text for token in tokens)
    ends = [at for at in (text.find(sequence) for sequence in stop if sequence) if at >= 0]
    if not ends:
        return Said(tuple(tokens), finish_reason)
    kept: list[Token] = []
    room = min(ends)
    for token in tokens:
        if room <= 0:
            break
        kept.append(Token(token.text[:room], token.logprob))
        room -= len(token.text)
    return Said(tuple(kept), "stop")


def _introduction(model: SimulatedModel) -> str:
    examples = "\n".join(f"- {example}" for example in EXAMPLES)
    return (
        f"I am {model.name}, a simulated model that comes with Spillway for demos and tests: a small program, "
        f"not a language model, so I cannot answer this. I can work out tasks like these, and sometimes get them "
        f"wrong:\n{examples}"
    )
