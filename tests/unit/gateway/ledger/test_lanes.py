"""A queue that knows what has been dealt with."""

from gateway.ledger.lanes import Lane


def test_what_comes_back_keeps_its_place() -> None:
    lane = Lane[int]()
    for item in range(5):
        lane.put(item)
    taken = lane.take(3)
    lane.give_back(taken)
    assert lane.take(10) == [0, 1, 2, 3, 4]


def test_taken_items_are_pending_until_they_are_finished() -> None:
    lane = Lane[str]()
    lane.put("a")
    lane.put("b")
    assert lane.take(1) == ["a"]
    assert (len(lane), lane.pending) == (1, 2)
    lane.finish(1)
    assert (len(lane), lane.pending, lane.finished) == (1, 1, 1)
