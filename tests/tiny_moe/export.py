"""Writes the tiny mixture of experts as an engine reads models: weights, configuration, tokenizer, chat template.

    python -m tests.tiny_moe.export --weights DIR --out DIR

An engine must be able to write JSON, so the characters that the model never learned are added to its alphabet. Each has
the embedding of the padding, which no text of the training went on with: none is as likely as what was learned.
Needs torch, transformers.
"""

import argparse
import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from tests.tiny_moe.tasks import ALPHABET
from tests.tiny_moe.train import PAD, configuration, fresh

CONTEXT = 256
_SPECIAL = ("<pad>", "<answer>", "<end>")
_FURTHER = "".join(sorted(set(string.printable[:95]) - set(ALPHABET) - set(string.ascii_uppercase)))
TOKENS = (*_SPECIAL, *ALPHABET, *_FURTHER)
TEMPLATE = "{{ messages[-1]['content'] }}<answer>"  # a model this small has no conversations


def tokenizer() -> PreTrainedTokenizerFast:
    """A character a token."""
    known = {token: n for n, token in enumerate(TOKENS)}
    made = Tokenizer(WordLevel(known, unk_token=_SPECIAL[PAD]))
    kept = "".join(f"\\x{ord(character):02x}" for character in ALPHABET + _FURTHER)
    made.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex(f"[^{kept}]"), "")])
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    made.decoder = decoders.Fuse()
    special = dict(zip(("pad_token", "bos_token", "eos_token"), _SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=TEMPLATE, **special)


def extended(weights: Path) -> Any:
    """The model as trained, with the further characters in its alphabet."""
    model = fresh(configuration())
    model.load_state_dict(torch.load(weights / "weights.pt", weights_only=True))
    learned = model.get_input_embeddings().weight.detach().clone()
    further = learned[PAD].expand(len(_FURTHER), -1)
    model.resize_token_embeddings(len(learned) + len(_FURTHER))
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.cat([learned, further]))
    model.config.max_position_embeddings, model.config.head_dim = CONTEXT, 32
    return model


def write(weights: Path, out: Path) -> None:
    """The whole folder."""
    extended(weights).save_pretrained(out)
    tokenizer().save_pretrained(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    write(asked.weights, asked.out)


if __name__ == "__main__":
    main()
