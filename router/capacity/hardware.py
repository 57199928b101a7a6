"""Accelerators: memory, bandwidth and arithmetic, as their makers state them for dense matrices.

Knows published figures and one rough rental price each, which is an assumption to be overridden. Knows no measurement.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from router.errors import CapacityError

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """memory_gb : 10⁹ bytes.   bandwidth_gbs : 10⁹ bytes/s.   tflops : 16-bit, dense.   usd_per_hour : assumed."""

    name: str
    memory_gb: float
    bandwidth_gbs: float
    tflops: float
    usd_per_hour: float


def gpu(name: str) -> Gpu:
    """Raises CapacityError with the names that there are."""
    found = GPUS.get(name.lower())
    if found is None:
        raise CapacityError(f"--gpu: {name!r} is not known; known are {', '.join(GPUS)}")
    return found


def _gpu(name: str, memory_gb: float, bandwidth_gbs: float, tflops: float, usd_per_hour: float) -> tuple[str, Gpu]:
    return name, Gpu(
        name=name,
        memory_gb=memory_gb,
        bandwidth_gbs=bandwidth_gbs,
        tflops=tflops,
        usd_per_hour=usd_per_hour,
    )


GPUS: Mapping[str, Gpu] = dict(
    (
        _gpu("h100", 80, 3350, 989, 2.5),
        _gpu("h200", 141, 4800, 989, 3.5),
        _gpu("b200", 180, 8000, 2250, 5.5),
        _gpu("a100-80gb", 80, 2039, 312, 1.6),
        _gpu("a100-40gb", 40, 1555, 312, 1.2),
        _gpu("l40s", 48, 864, 362, 1.0),
        _gpu("l4", 24, 300, 121, 0.6),
        _gpu("a10g", 24, 600, 70, 0.75),
        _gpu("rtx-4090", 24, 1008, 165, 0.4),
        _gpu("mi300x", 192, 5300, 1307, 2.5),
    )
)
