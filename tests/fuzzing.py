"""How many cases a fuzzing test tries: few, and the same ones in every run; by `make fuzz` as many new ones as said."""

import os
from typing import Any

from hypothesis import settings

SAID = os.environ.get("SPILLWAY_FUZZ_CASES")


def cases(usual: int, **more: Any) -> settings:
    """usual : how many, where nothing is said.   more : further settings, for a test can have them only once."""
    if SAID is None:
        return settings(max_examples=usual, **more)
    return settings(max_examples=int(SAID), derandomize=False, **more)
