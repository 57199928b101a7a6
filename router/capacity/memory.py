"""How many bytes weights and key-value caches take, and how many accelerators hold them.

Knows quantisations by their bits per weight, scales included. Knows no engine's fragmentation: a share of the memory is
set aside for activations and the engine, as an option says.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from router.capacity.architecture import Architecture
from router.capacity.hardware import Gpu
from router.errors import CapacityError

KV_BITS: Mapping[str, int] = {"bf16": 16, "fp8": 8}
GPUS_IN_A_GROUP = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """bits : per weight, with the scales of its blocks.   experts_only : everything else stays at 16 bits."""

    name: str
    bits: float
    experts_only: bool = False


QUANTISATIONS: Mapping[str, Quantisation] = {
    "bf16": Quantisation(name="bf16", bits=16),
    "fp8": Quantisation(name="fp8", bits=8),
    "int8": Quantisation(name="int8", bits=8),
    "int4": Quantisation(name="int4", bits=4.25),  # groups of 128: a 16-bit scale and a 16-bit offset each
    "nvfp4": Quantisation(name="nvfp4", bits=4.5),  # blocks of 16: an 8-bit scale each
    "mxfp4": Quantisation(name="mxfp4", bits=4.25, experts_only=True),  # blocks of 32: an 8-bit scale each
}


def quantisation(name: str | None, model: Architecture) -> Quantisation:
    """The one that is asked for, else the one in which the model is published. Raises CapacityError."""
    wanted = (name or model.stored or "bf16").lower()
    found = QUANTISATIONS.get(wanted)
    if found is None:
        raise CapacityError(f"--quant: {wanted!r} is not known; known are {', '.join(QUANTISATIONS)}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Bytes. always : what every token reads.   experts : all routed experts.   used : those of one token.

    embedding : looked up by rows, so held, but not read; 0 where it is also the output matrix.
    """

    always: int
    experts: int
    used: int
    embedding: int

    @property
    def held(self) -> int:
        return self.always + self.experts + self.embedding


def weights(model: Architecture, quant: Quantisation) -> Weights:
    """Embedding and output matrix, norms and routers stay at 16 bits, as quantised checkpoints keep them."""
    embedding = model.embedding * (1 if model.tied else 2)
    rest = model.parameters - model.expert_parameters - embedding
    routers = sum(part.always for part in model.mixtures) if quant.experts_only else 0
    small = model.layers * model.norms + model.hidden + routers
    rest_bits = 16 if quant.experts_only else quant.bits
    looked_up = 0 if model.tied else model.embedding * 2
    always = (rest - small) * rest_bits / 8 + small * 2 + model.embedding * 2
    biases = _expert_biases(model)
    used_share = model.expert_parameters_used / model.expert_parameters if model.expert_parameters else 0
    experts = (model.expert_parameters - biases) * quant.bits / 8 + biases * 2
    return Weights(
        always=math.ceil(always), experts=math.ceil(experts), used=math.ceil(experts * used_share), embedding=looked_up
    )


def kv_bytes(model: Architecture, tokens: int, kv_bits: int) -> int:
    """Of one sequence of so many tokens."""
    return math.ceil(model.cached_numbers(tokens) * kv_bits / 8)


def kv_tokens(model: Architecture, room: int, kv_bits: int, *, block: int = 16) -> int:
    """Tokens for which a cache of ``room`` bytes has place, in whole blocks as vLLM hands them out; no window is used.

    block : tokens a block.
    """
    per_block = model.cached_numbers(1) * kv_bits // 8 * block
    return room // per_block * block


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """gpus : of one replica.   free : bytes left for key-value caches.   offloaded : bytes in host memory."""

    gpus: int
    free: int
    offloaded: int


def place(
    held: Weights, cache: int, accelerator: Gpu, *, usable: float, offload: float = 0.0, gpus: int | None = None
) -> Placement:
    """The least usual group of accelerators that holds the weights and ``cache`` bytes of key-value cache.

    usable : share of the memory for weights and caches.   offload : share of the experts' bytes kept on the host.
    gpus : where it is given, so many are taken. Raises CapacityError where they do not suffice.
    """
    offloaded = math.ceil(held.experts * offload)
    needed = held.held - offloaded
    room = accelerator.memory_gb * 1e9 * usable
    for count in (gpus,) if gpus else GPUS_IN_A_GROUP:
        if needed + cache <= count * room:
            return Placement(gpus=count, free=int(count * room) - needed, offloaded=offloaded)
    least = math.ceil((needed + cache) / room)
    if gpus:
        raise CapacityError(
            f"--gpus: {gpus} x {accelerator.name} hold {gpus * room / 1e9:.0f} GB of weights and caches, "
            f"but {(needed + cache) / 1e9:.0f} GB are needed: {least} would do"
        )
    raise CapacityError(
        f"--concurrency, --context: weights of {needed / 1e9:.0f} GB and caches of {cache / 1e9:.0f} GB need {least} x "
        f"{accelerator.name} for one replica, more than {GPUS_IN_A_GROUP[-1]}; spread the load over replicas"
    )


def _expert_biases(model: Architecture) -> int:
    return sum(part.count * (part.one - part.matrices * part.hidden * part.width) for part in model.mixtures)
