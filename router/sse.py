"""Server-sent events from the bytes of a stream, however the network cut them.

Works on bytes: line ends are ASCII, so a UTF-8 character that arrives in halves needs no care here. Knows nothing of
what the events carry.
"""

import re
from dataclasses import dataclass

from router.errors import BrokenStream

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event: its name ("message" if it has none) and its ``data`` lines joined by newlines."""

    data: bytes
    name: str = "message"


class EventParser:
    """Feed it pieces, get events; the same events for the same bytes, wherever they were cut.

    Comments, ``id`` and ``retry`` are left out. Source: WHATWG HTML, "Server-sent events", section 9.2.6.

    >>> parser = EventParser()
    >>> parser.feed(b"data: o"), parser.feed(b"ne\\n\\n")
    ([], [Event(data=b'one', name='message')])
    """

    def __init__(self, max_event_bytes: int = 16 * 1024 * 1024) -> None:
        self._max_event_bytes = max_event_bytes
        self._tail: list[bytes] = []  # pieces of a line whose end has not come; joined once, not on each piece
        self._data: list[bytes] = []
        self._name = "message"
        self._held = 0  # bytes in tail and data
        self._after_cr = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes. Raises BrokenStream where one event outgrows the limit."""
        if self._after_cr and piece:
            self._after_cr = False
            if piece.startswith(b"\n"):  # the second half of a CRLF
                piece = piece[1:]
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        *lines, rest = _LINE_END.split(piece)
        events: list[Event] = []
        for line in lines:
            if self._tail:
                line = b"".join((*self._tail, line))  # noqa: PLW2901  the line in full takes the place of its end
                self._tail.clear()
            event = self._take(line)
            if event is not None:
                events.append(event)
        if rest:
            self._tail.append(rest)
        self._held = sum(map(len, self._data)) + len(rest) if lines else self._held + len(rest)
        if self._held > self._max_event_bytes:
            raise BrokenStream(f"one event is larger than {self._max_event_bytes} bytes")
        return events

    def finish(self) -> list[Event]:
        """The event, if any, that stood unclosed when the stream ended."""
        return self.feed(b"\n\n")

    def _take(self, line: bytes) -> Event | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace") or "message"
        return None

    def _dispatch(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name = [], "message"
        return Event(data=b"\n".join(data), name=name) if data else None
