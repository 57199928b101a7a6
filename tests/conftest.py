"""What every test stands on: deterministic hypothesis, no network look-ups, the replay data where there is any."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side already
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # litellm would fetch its price map at import

os.environ.setdefault(
    "KUBECACHEDIR", str(Path(__file__).parents[1] / ".pytest_cache" / "kube")
)  # not the home of who tests

settings.register_profile(
    "spillway", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("spillway")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def replay_data() -> Path:
    """The folder of logged answers of real models; where there is none, the test is skipped."""
    folder = Path(os.environ.get("SPILLWAY_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "prices.json").is_file():
        pytest.skip(f"no replay data in {folder}; set SPILLWAY_DATA to a folder that has it")
    return folder
