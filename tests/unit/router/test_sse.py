"""Event streams: the same bytes give the same events, wherever they were cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import BrokenStream
from router.sse import Event, EventParser
from tests.fuzzing import cases

line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
lines = st.one_of(
    st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=12).map(
        lambda text: b"data: " + text.encode()
    ),
    st.sampled_from([b"", b"", b": comment", b"data", b"data:", b"event: error", b"id: 7", b"retry: 3", b"nonsense"]),
)
streams = st.lists(st.tuples(lines, line_ends)).map(lambda parts: b"".join(line + end for line, end in parts))


def parse(pieces: list[bytes]) -> list[Event]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)] + parser.finish()


@cases(100)
@given(st.one_of(streams, st.binary(max_size=60)), st.data())
def test_cuts_change_nothing(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(pieces) == parse([stream])
    assert parse([bytes([byte]) for byte in stream]) == parse([stream])


@cases(100)
@given(st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))), line_ends)
def test_what_was_written_is_read(texts: list[str], end: bytes) -> None:
    stream = b"".join(b"data: " + text.encode() + end + end for text in texts)
    assert parse([stream]) == [Event(data=text.encode()) for text in texts]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\ndata: b\n\n", [Event(data=b"a\nb")]),
        (b"data:a\n\n", [Event(data=b"a")]),
        (b"data:  a\n\n", [Event(data=b" a")]),
        (b"data\n\n", [Event(data=b"")]),
        (b": ping\n\n:\n\n", []),
        (b"event: error\ndata: {}\n\ndata: x\n\n", [Event(data=b"{}", name="error"), Event(data=b"x")]),
        (b"event: lonely\n\ndata: x\n\n", [Event(data=b"x")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event(data=b"a")]),
        (b"data: a\r\rdata: b\r\n\r\n", [Event(data=b"a"), Event(data=b"b")]),
        (b"data: [DONE]", [Event(data=b"[DONE]")]),
        (b"data: [DONE]\n", [Event(data=b"[DONE]")]),
        (b"", []),
    ],
)
def test_the_format(stream: bytes, events: list[Event]) -> None:
    assert parse([stream]) == events


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    parser = EventParser()
    assert parser.feed(b"data: caf\xc3") == []
    assert parser.feed(b"\xa9\r") == []
    assert parser.feed(b"\n\r") == [Event(data="café".encode())]
    assert parser.feed(b"\ndata: x\n\n") == [Event(data=b"x")]


@pytest.mark.parametrize("piece", [b"x" * 10, b"data: xxxx\n"])
def test_an_endless_event_is_refused(piece: bytes) -> None:
    parser = EventParser(max_event_bytes=100)
    with pytest.raises(BrokenStream, match="100 bytes"):
        list(map(parser.feed, [piece] * 30))


def test_many_small_events_are_not_an_endless_one() -> None:
    parser = EventParser(max_event_bytes=100)
    assert sum(len(parser.feed(b"data: xxxx\n\n")) for _ in range(50)) == 50
