"""Nothing leaks and nothing is lost under mixed load; ten minutes of it by `make evidence`."""

from pathlib import Path

import pytest

from tests.soak import SPARE_FILES, Soaked, soak


def judged(soaked: Soaked, *, slope_mb_per_minute: float, blocks_per_request: float) -> None:
    for line in soaked.lines():
        print(line)
    assert soaked.wrong == []
    assert (soaked.unsettled, soaked.unclosed) == (0, 0)
    assert soaked.seen["stream cut"] == 0
    assert not {"500", "ReadError", "RemoteProtocolError"} & set(soaked.seen)
    assert (soaked.idle["calls"], soaked.idle["ledger_unsettled"]) == (0, 0)
    assert soaked.idle["tasks"] <= soaked.warm["tasks"] + 5
    assert soaked.idle["open_files"] <= soaked.warm["open_files"] + SPARE_FILES
    assert soaked.slope_mb_per_minute < slope_mb_per_minute
    assert soaked.blocks_per_request < blocks_per_request


@pytest.mark.timeout(240)
async def test_a_minute_of_mixed_load(tmp_path: Path) -> None:
    soaked = await soak(tmp_path, seconds=60, clients=50)
    # pools still fill in so short a time; the long one judges memory
    judged(soaked, slope_mb_per_minute=200.0, blocks_per_request=1000.0)
    assert soaked.seen["200"]
    assert soaked.seen["stream"]
    assert soaked.seen["hung up"]


@pytest.mark.evidence
@pytest.mark.timeout(1200)
async def test_ten_minutes_of_mixed_load(tmp_path: Path) -> None:
    soaked = await soak(tmp_path, seconds=600, clients=60)
    judged(soaked, slope_mb_per_minute=1.0, blocks_per_request=0.5)
    assert soaked.unsure == []
