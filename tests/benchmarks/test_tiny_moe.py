"""What log-probabilities of a real mixture of experts are worth: a cascade from it to a far better model.

The model is trained here, its errors and its doubts are its own. Measured, not asserted, but for what must hold: the
ledger and the client agree, and what the client did not ask for it does not see.
"""

from pathlib import Path

import pytest

from tests.tiny_moe.cascade import CONFIG, measured
from tests.tiny_moe.running import python_with_torch, stronger, tiny_moe, weights

pytestmark = [pytest.mark.evidence, pytest.mark.timeout(3600)]


def test_a_cascade_from_a_real_mixture_of_experts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Served by a small server of these tests."""
    python = python_with_torch()
    trained = weights(python, tmp_path / "weights")
    with tiny_moe(python, trained) as tiny, stronger() as strong:
        lines = measured(CONFIG.format(tiny=tiny, strong=strong), tmp_path)
    with capsys.disabled():
        print("\n" + "\n".join(lines))
