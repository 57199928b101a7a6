"""The whole plan of hosting one model: memory, accelerators, speed over the batch, cost over utilisation.

Knows the order of the arithmetic in the modules beside it. Knows no output format.
"""

from dataclasses import dataclass

from router.capacity.architecture import Architecture
from router.capacity.cost import (
    Traffic,
    api_usd_per_request,
    break_even,
    usd_per_million_answer_tokens,
    usd_per_request,
)
from router.capacity.hardware import Gpu
from router.capacity.memory import KV_BITS, Placement, Quantisation, Weights, kv_bytes, kv_tokens, place, weights
from router.capacity.speed import Machine, Step, decode, prefill
from router.errors import CapacityError

UTILISATIONS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a plan is made for.

    context : tokens a sequence may reach.   concurrency : sequences at once.
    usable, reading, computing : shares in (0, 1].   offload : share of the experts' bytes in host memory, in [0, 1].
    api : USD per million prompt and answer tokens.
    """

    quant: Quantisation
    gpu: Gpu
    context: int
    concurrency: int
    traffic: Traffic
    usd_per_gpu_hour: float
    kv: str = "bf16"
    gpus: int | None = None
    usable: float = 0.9
    reading: float = 0.6
    computing: float = 0.4
    offload: float = 0.0
    host_gbs: float = 50.0
    api: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Raises CapacityError naming the option."""
        for name in ("context", "concurrency"):
            if getattr(self, name) < 1:
                raise CapacityError(f"--{name}: must be 1 or more")
        for name in ("usable", "reading", "computing"):
            if not 0 < getattr(self, name) <= 1:
                raise CapacityError(f"--{name}: must be above 0 and at most 1")
        if not 0 <= self.offload <= 1:
            raise CapacityError("--offload: must be from 0 to 1")
        if self.kv not in KV_BITS:
            raise CapacityError(f"--kv: {self.kv!r} is not known; known are {', '.join(KV_BITS)}")
        if self.traffic.prompt + self.traffic.answer > self.context:
            raise CapacityError("--context: is less than --prompt-tokens and --answer-tokens together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What came out. Bytes and tokens a second are of one replica; amounts are US dollars."""

    wanted: Wanted
    weights: Weights
    kv_per_token: int
    kv_per_sequence: int
    kv_room_tokens: int
    placement: Placement
    steps: tuple[Step, ...]
    prefill_per_s: float
    usd_per_hour: float
    usd_per_million: tuple[tuple[float, float], ...]
    api_usd_per_request: float | None
    own_usd_per_request_busy: float
    break_even: float | None

    @property
    def at_concurrency(self) -> Step:
        return self.steps[-1]


def plan(model: Architecture, wanted: Wanted) -> Plan:
    """Raises CapacityError where the model was not made for such a context, or does not fit."""
    if model.context is not None and wanted.context > model.context:
        raise CapacityError(f"--context: the model was made for at most {model.context} tokens, not {wanted.context}")
    if wanted.offload and not model.expert_parameters:
        raise CapacityError("--offload: is of experts, and this model has none")
    bits, held = KV_BITS[wanted.kv], weights(model, wanted.quant)
    per_sequence = kv_bytes(model, wanted.context, bits)
    placement = place(
        held,
        per_sequence * wanted.concurrency,
        wanted.gpu,
        usable=wanted.usable,
        offload=wanted.offload,
        gpus=wanted.gpus,
    )
    machine = Machine(
        gpu=wanted.gpu,
        gpus=placement.gpus,
        reading=wanted.reading,
        computing=wanted.computing,
        host_gbs=wanted.host_gbs,
    )
    middle = (
        wanted.traffic.prompt + wanted.traffic.answer // 2
    )  # what a sequence has, on average, as its answer is written
    steps = tuple(
        decode(model, held, machine, batch=batch, context=middle, kv_bits=bits, offload=wanted.offload)
        for batch in _batches(wanted.concurrency)
    )
    reading_per_s = prefill(model, machine, prompt=wanted.traffic.prompt)
    hourly = wanted.usd_per_gpu_hour * placement.gpus
    own = usd_per_request(hourly, steps[-1].estimate, reading_per_s, wanted.traffic, 1.0)
    api = None if wanted.api is None else api_usd_per_request(wanted.api, wanted.traffic)
    return Plan(
        wanted=wanted,
        weights=held,
        kv_per_token=kv_bytes(model, 1, bits),
        kv_per_sequence=per_sequence,
        kv_room_tokens=kv_tokens(model, placement.free, bits),
        placement=placement,
        steps=steps,
        prefill_per_s=reading_per_s,
        usd_per_hour=hourly,
        usd_per_million=tuple(
            (share, usd_per_million_answer_tokens(hourly, steps[-1].estimate, share)) for share in UTILISATIONS
        ),
        api_usd_per_request=api,
        own_usd_per_request_busy=own,
        break_even=None if api is None else break_even(own, api),
    )


def _batches(concurrency: int) -> tuple[int, ...]:
    doubled = [1]
    while doubled[-1] * 2 < concurrency:
        doubled.append(doubled[-1] * 2)
    return (*doubled, concurrency) if concurrency > 1 else (1,)
