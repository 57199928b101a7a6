"""Who is alive: the process itself is, one that has ended is not, and a recycled number fools nobody."""

import subprocess
import sys
from pathlib import Path

import pytest

import gateway.ledger.liveness
from gateway.ledger.liveness import Identity

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
def test_this_process_sees_itself() -> None:
    me = Identity.of_this_process()
    assert me == Identity.of_this_process()
    assert me.can_tell(me)
    assert me.sees_alive(me)


@linux
def test_a_process_that_has_ended_is_dead_even_if_its_number_is_taken_again() -> None:
    me = Identity.of_this_process()
    pid, _, started = me.process.partition("/")
    assert not me.sees_alive(Identity(place=me.place, process=f"{pid}/{int(started) - 1}"))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not me.sees_alive(Identity(place=me.place, process=f"{ended.pid}/1"))


@linux
def test_a_killed_process_that_nobody_buried_is_dead() -> None:
    me = Identity.of_this_process()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = gateway.ledger.liveness._started(child.pid)
    assert me.sees_alive(Identity(place=me.place, process=f"{child.pid}/{started}"))
    child.kill()
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    assert not me.sees_alive(Identity(place=me.place, process=f"{child.pid}/{started}"))
    child.communicate()


def test_another_place_cannot_be_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    me = Identity.of_this_process()
    assert not me.can_tell(Identity(place="elsewhere", process=me.process))
    monkeypatch.setattr(gateway.ledger.liveness, "_PROC", tmp_path)  # as on a system without /proc
    here, again = Identity.of_this_process(), Identity.of_this_process()
    assert not here.can_tell(again)


@pytest.mark.parametrize("process", ["", "x/1", "-1/1", "../1/1"])
def test_nonsense_is_dead(process: str) -> None:
    me = Identity.of_this_process()
    assert not me.sees_alive(Identity(place=me.place, process=process))
