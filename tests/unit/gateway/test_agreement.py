"""When a process reads its files anew, and whom it takes to agree with it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pytest
from prometheus_client.core import Metric

from gateway import agreement as agreement_module
from gateway.agreement import Agreement, AgreementMetrics
from gateway.errors import ConfigError, GatewayError
from gateway.reload import Reloading


@dataclass
class Told:
    words: dict[str, str]
    call: str


@dataclass
class Board:
    """A board of one process, that others may write to."""

    words: dict[str, str] = field(default_factory=dict)
    called: str = ""
    away: bool = False

    async def tell(self, name: str, word: str) -> Told:
        if self.away:
            raise GatewayError
        self.words[name] = word
        return Told(words=self.words, call=self.called)

    async def call(self, call: str) -> None:
        if self.away:
            raise GatewayError
        self.called = call

    async def leave(self, name: str) -> None:
        del self.words[name]


@dataclass
class Files:
    """Stands in for Reloading."""

    now: str = "first"
    seen: str = "first"
    served: tuple[str, str] = ("settings", "files")
    loaded_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    refused_at: datetime | None = None
    reloads: int = 0
    restless: bool = False
    broken: bool = False

    def look(self) -> str:
        if self.restless:
            self.now += "."
        return self.now

    async def reload(self) -> None:
        self.reloads += 1
        self.seen = self.now
        if self.broken:
            raise ConfigError([])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement_module, "_SETTLED_S", 0.0)


def over(files: Files, board: Board | None = None, tried: dict[str, Any] | None = None) -> Agreement:
    return Agreement(cast("Reloading", files), board, lambda: None, lambda: tried or {})


async def test_what_is_new_is_read_once_whatever_comes_of_it() -> None:
    files = Files(broken=True)
    agreement = over(files)
    await agreement.look()
    assert files.reloads == 0
    files.now = "second"
    for _ in range(3):
        await agreement.look()
    assert files.reloads == 1


async def test_what_is_still_being_written_is_left_until_it_stands_still() -> None:
    files = Files(restless=True)
    agreement = over(files)
    await agreement.look()
    assert files.reloads == 0
    files.restless = False
    await agreement.look()
    assert files.reloads == 1


async def test_a_call_has_all_others_read_anew_and_not_the_caller() -> None:
    board, mine, other = Board(), Files(), Files()
    one, two = over(mine, board), over(other, board)
    await two.tell()
    for times in (1, 2):
        await one.call_all()
        for _ in range(2):
            await one.tell()
            await two.tell()
        assert (mine.reloads, other.reloads) == (0, times)


async def test_a_call_older_than_the_start_has_only_files_read_that_changed_since() -> None:
    board, files = Board(called="before"), Files(now="second")
    await over(files, board).tell()
    assert files.reloads == 1


async def test_a_call_that_is_gone_is_none() -> None:
    """It stands there for a day; a Redis that was started anew knows of none."""
    board, files = Board(), Files()
    agreement = over(files, board)
    await agreement.tell()
    for board.called in ("a call", "", "", "a call", "another"):
        await agreement.tell()
    assert files.reloads == 2


async def test_replicas_agree_by_what_they_serve_and_try() -> None:
    board = Board()
    one, two, three = (
        over(Files(), board),
        over(Files(), board),
        over(Files(), board, {"p": ["strategy", 0.1]}),
    )
    await one.tell()
    await two.tell()
    assert len({replica.hash for replica in two.replicas}) == 1
    assert sample(two, "spillway_replica_configs") == 1
    await three.tell()
    await one.tell()
    assert sample(one, "spillway_replicas") == 3
    assert sample(one, "spillway_replica_configs") == 2
    assert one.hash in next(iter(AgreementMetrics(one).collect())).samples[0].labels.values()


def sample(agreement: Agreement, name: str) -> float:
    found: dict[str, Metric] = {metric.name: metric for metric in AgreementMetrics(agreement).collect()}
    return found[name].samples[0].value


@pytest.mark.parametrize("word", ["", "{}", "[1,2,3,4]", '["a","b",false]', orjson.dumps(["a"] * 4).decode(), "\x00"])
async def test_odd_words_are_nobody_s(word: str) -> None:
    agreement = over(Files(), Board(words={"odd": word}))
    await agreement.tell()
    assert [one.name for one in agreement.replicas] == [agreement.name]


async def test_where_the_board_is_away_it_knows_of_itself_and_says_that_nobody_was_told() -> None:
    agreement = over(Files(), Board(away=True))
    await agreement.tell()
    assert [one.name for one in agreement.replicas] == [agreement.name]
    with pytest.raises(GatewayError):
        await agreement.call_all()
