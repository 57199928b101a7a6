"""How many cases a fuzzing test tries: few, and the same ones in every run; by `make fuzz` as many new ones as said."""

import os

from hypothesis import settings

SAID = os.environ.get("SPILLWAY_FUZZ_CASES")


def cases(usual: int) -> settings:
    """usual : how many, where nothing is said."""
    if SAID is None:
        return settings(max_examples=usual)
    return settings(max_examples=int(SAID), derandomize=False)
