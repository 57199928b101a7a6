"""How quickly tokens can be made: rooflines of reading and of arithmetic (Williams, Waterman and Patterson, 2009).

Knows bytes and operations of a decoding step. The ceiling reads only the experts that one token uses, which no batch
can beat; the estimate reads all those that a batch touches under uniform routing, and its efficiencies are assumptions.
"""

from dataclasses import dataclass

from router.capacity.architecture import Architecture
from router.capacity.hardware import Gpu
from router.capacity.memory import Weights, kv_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One replica's accelerators together.

    reading, computing : shares of the stated bandwidth and arithmetic that are reached, in (0, 1].
    host_gbs : 10⁹ bytes a second from host memory, for offloaded experts.
    """

    gpu: Gpu
    gpus: int
    reading: float
    computing: float
    host_gbs: float

    @property
    def bytes_per_s(self) -> float:
        return self.gpu.bandwidth_gbs * 1e9 * self.gpus

    @property
    def operations_per_s(self) -> float:
        return self.gpu.tflops * 1e12 * self.gpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Decoding one token for each of ``batch`` sequences.

    touched : share of the experts that the batch reads.   ceiling, estimate : tokens a second of all sequences.
    """

    batch: int
    touched: float
    ceiling: float
    estimate: float

    @property
    def estimate_each(self) -> float:
        """Tokens a second of one sequence."""
        return self.estimate / self.batch


def touched_share(experts: int, per_token: int, batch: int) -> float:
    """Expected share of a layer's experts that at least one of ``batch`` tokens uses, where each chooses uniformly."""
    return 1.0 - (1.0 - per_token / experts) ** batch


def decode(
    model: Architecture,
    held: Weights,
    machine: Machine,
    *,
    batch: int,
    context: int,
    kv_bits: int,
    offload: float = 0.0,
) -> Step:
    """context : tokens that each sequence already has.   offload : share of the experts that lies in host memory."""
    touched = touched_share(*model.expert_choice, batch)
    cache = batch * kv_bytes(model, context, kv_bits)
    operations = 2.0 * model.active_without_embedding * batch + _attention_operations(model, context) * batch
    computed = operations / machine.operations_per_s
    least = max((held.always + held.used + cache) / machine.bytes_per_s, computed)
    on_board = (held.always + held.experts * touched * (1 - offload) + cache) / (machine.bytes_per_s * machine.reading)
    from_host = held.experts * touched * offload / (machine.host_gbs * 1e9)
    likely = max(on_board + from_host, computed / machine.computing)
    return Step(batch=batch, touched=touched, ceiling=batch / least, estimate=batch / likely)


def prefill(model: Architecture, machine: Machine, *, prompt: int) -> float:
    """Estimated prompt tokens a second: arithmetic bounds it, for many tokens share one reading of the weights."""
    operations = 2.0 * model.active_without_embedding + _attention_operations(model, prompt // 2)
    return machine.operations_per_s * machine.computing / operations


def _attention_operations(model: Architecture, context: int) -> float:
    """Multiplications and additions of scores and values, for one new token over what its layers look back at."""
    seen = sum(context if window is None else min(context, window) for window in model.windows)
    return 2.0 * seen * model.attention.score_numbers
