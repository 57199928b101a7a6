"""Trains a mixture of experts of a few million parameters from nothing, in minutes, on a CPU.

    python -m tests.tiny_moe.train --out DIR [--minutes 2] [--seed 1]

Mixtral's architecture as ``transformers`` has it, one character a token. What it learns are the tasks beside this
file, of which it sees none that is asked of it later: ``held_back`` are the seeds of those. Needs torch, transformers.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from transformers import MixtralConfig, MixtralForCausalLM

from tests.tiny_moe.tasks import ALPHABET, Task, different, tasks

PAD, ANSWER, END = 0, 1, 2  # what comes before a question, between it and its answer, after that
HELD_BACK = (101, 102)
N_HELD_BACK = 4000
_BATCH, _WARM_UP, _RATE = 192, 60, 2e-3


def encoded(text: str) -> list[int]:
    """Characters as tokens; those that the model does not know are left out."""
    return [ALPHABET.index(character) + 3 for character in text.lower() if character in ALPHABET]


def decoded(token: int) -> str:
    """A token as its character."""
    return ALPHABET[token - 3] if token >= 3 else ""


def configuration() -> MixtralConfig:
    """8 experts in each of 4 layers, 2 of them at work for a token."""
    return MixtralConfig(
        vocab_size=len(ALPHABET) + 3,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=8,
        num_experts_per_tok=2,
        max_position_embeddings=64,
        sliding_window=None,
        router_aux_loss_coef=0.01,
        output_router_logits=True,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=ANSWER,
        eos_token_id=END,
    )


def fresh(config: MixtralConfig) -> Any:
    """A model with random weights. Looping over the experts is many times faster on a CPU than the default."""
    config._experts_implementation = "eager"
    return MixtralForCausalLM(config)


def batch(lot: list[Task]) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, tokens) inputs, and labels that are those of the answers alone."""
    rows = [(encoded(task.question), encoded(task.answer)) for task in lot]
    size = max(len(question) + len(answer) + 2 for question, answer in rows)
    inputs = torch.full((len(rows), size), PAD)
    labels = torch.full((len(rows), size), -100)
    for n, (question, answer) in enumerate(rows):
        whole = [*question, ANSWER, *answer, END]
        inputs[n, : len(whole)] = torch.tensor(whole)
        labels[n, len(question) + 1 : len(whole)] = torch.tensor(whole[len(question) + 1 :])
    return inputs, labels


def train(model: Any, seed: int, minutes: float) -> int:
    """Returns after how many steps the time was over."""
    held_back = frozenset(task.question for seed in HELD_BACK for task in different(seed, N_HELD_BACK))
    source = (task for task in tasks(seed) if task.question not in held_back)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.01)
    began, step = time.monotonic(), 0
    while (gone := (time.monotonic() - began) / (60 * minutes)) < 1:
        rate = _RATE * min(1.0, (step + 1) / _WARM_UP) * max(0.05, 1 - gone)
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs, labels = batch([next(source) for _ in range(_BATCH)])
        loss = model(input_ids=inputs, attention_mask=(inputs != PAD).long(), labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.3f}, {gone:.0%} of the time", flush=True)
    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    config = configuration()
    model = fresh(config)
    steps = train(model, asked.seed, asked.minutes)
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), asked.out / "weights.pt")
    total = sum(weights.numel() for weights in model.parameters())
    (asked.out / "told.json").write_text(json.dumps({"parameters": total, "steps": steps, "seed": asked.seed}))
    print(f"{total:,} parameters, {steps} steps of {_BATCH} tasks: {asked.out}")


if __name__ == "__main__":
    main()
