"""Writes the tiny mixture of experts as llama.cpp reads models: one GGUF file, with tokenizer and chat template.

    python -m tests.tiny_moe.export_gguf --weights DIR --out FILE

The tokenizer is GPT-2's with nothing merged, so a character is a token, and one that is not in the alphabet is left
out. Needs torch, transformers, gguf.
"""

import argparse
from pathlib import Path

import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType

from tests.tiny_moe.export import CONTEXT, TEMPLATE, TOKENS, extended
from tests.tiny_moe.train import ANSWER, END, PAD

_SPECIAL = (PAD, ANSWER, END)
_SPACE = "\u0120"  # as GPT-2 writes it
_NEVER_MERGED = "\u0120 \u0120\u0120"  # a list of merges must have one; its result is no token, so it is undone


def write(weights: Path, out: Path) -> None:
    """The whole file."""
    writer = GGUFWriter(out, "llama")  # which is what it calls Mixtral, too
    model = extended(weights)
    _tell(writer, model.config)
    for name, tensor in _tensors(model.state_dict(), model.config):
        writer.add_tensor(name, tensor.contiguous().float().numpy(), raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tell(writer: GGUFWriter, config: object) -> None:
    told = config.to_dict()  # type: ignore[attr-defined]
    writer.add_name("tiny-moe")
    writer.add_vocab_size(len(TOKENS))
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(told["hidden_size"])
    writer.add_block_count(told["num_hidden_layers"])
    writer.add_feed_forward_length(told["intermediate_size"])
    writer.add_head_count(told["num_attention_heads"])
    writer.add_head_count_kv(told["num_key_value_heads"])
    writer.add_rope_dimension_count(told["head_dim"])
    writer.add_rope_freq_base(told["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(told["rms_norm_eps"])
    writer.add_expert_count(told["num_local_experts"])
    writer.add_expert_used_count(told["num_experts_per_tok"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token.replace(" ", _SPACE) for token in TOKENS])
    writer.add_token_types([TokenType.CONTROL if n in _SPECIAL else TokenType.NORMAL for n in range(len(TOKENS))])
    writer.add_token_merges([_NEVER_MERGED])
    writer.add_pad_token_id(PAD)
    writer.add_bos_token_id(ANSWER)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _tensors(state: dict[str, torch.Tensor], config: object) -> list[tuple[str, torch.Tensor]]:
    told = config.to_dict()  # type: ignore[attr-defined]
    found = [
        ("token_embd.weight", state["model.embed_tokens.weight"]),
        ("output_norm.weight", state["model.norm.weight"]),
    ]
    for n in range(told["num_hidden_layers"]):
        of = {name.removeprefix(f"model.layers.{n}."): value for name, value in state.items()}
        gate, up = of["mlp.experts.gate_up_proj"].chunk(2, dim=1)
        layer = {
            "attn_norm": of["input_layernorm.weight"],
            "attn_q": _turned(of["self_attn.q_proj.weight"], told["num_attention_heads"]),
            "attn_k": _turned(of["self_attn.k_proj.weight"], told["num_key_value_heads"]),
            "attn_v": of["self_attn.v_proj.weight"],
            "attn_output": of["self_attn.o_proj.weight"],
            "ffn_norm": of["post_attention_layernorm.weight"],
            "ffn_gate_inp": of["mlp.gate.weight"],
            "ffn_gate_exps": gate,
            "ffn_up_exps": up,
            "ffn_down_exps": of["mlp.experts.down_proj"],
        }
        found += [(f"blk.{n}.{name}.weight", value) for name, value in layer.items()]
    return found


def _turned(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Pairs that are turned together by position side by side, where transformers has them half a head apart."""
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(weight.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    write(asked.weights, asked.out)


if __name__ == "__main__":
    main()
