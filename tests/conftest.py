"""What every test stands on: deterministic hypothesis, no network look-ups, the replay data where there is any."""

import faulthandler
import os
from collections.abc import Generator
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

_GRACE_S = 120.0  # beyond the time that a test has
_STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Failures are told as they happen: whoever ends a run that takes too long wants to know of them."""
    config.stash[_STDERR] = os.dup(2)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Telling(config))


class Telling:
    """Says of each failure at once which test it was, and in a line why."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            terminal = self._config.get_terminal_writer()
            why = getattr(getattr(report.longrepr, "reprcrash", None), "message", str(report.longrepr))
            terminal.line()
            terminal.line(f"{report.when} of {report.nodeid} failed: {why.splitlines()[0] if why else ''}"[:300])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A stuck process says where, and is replaced: pytest-timeout cannot break into C, nor into what a failure left."""
    return (yield from _watched(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Anew, since pytest forgets the first once a test has failed."""
    return (yield from _watched(item))


def _watched(item: pytest.Item) -> Generator[None, object, object]:
    marker = item.get_closest_marker("timeout")
    limit = marker.args[0] if marker else item.config.getoption("timeout") or item.config.getini("timeout")
    faulthandler.dump_traceback_later(float(limit) + _GRACE_S, exit=True, file=item.config.stash[_STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def replay_data() -> Path:
    """The folder of logged answers of real models; where there is none, the test is skipped."""
    folder = Path(os.environ.get("SPILLWAY_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "prices.json").is_file():
        pytest.skip(f"no replay data in {folder}; set SPILLWAY_DATA to a folder that has it")
    return folder
