"""Every way in which a demo can fail, told so that a new user knows what to do."""

from pathlib import Path

from gateway.errors import GatewayError


class DemoError(GatewayError):
    """The demo cannot go on."""


class FolderTaken(DemoError):
    """The working folder holds something that no demo made, or another demo is at work in it."""


class ChildFailed(DemoError):
    """A process that the demo started ended or never became ready. The end of its log is part of the message."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        super().__init__(f"the {name} {what}. The end of {log}:\n{_tail(log)}")


class TrafficFailed(DemoError):
    """A request that had to succeed did not."""


def _tail(log: Path, lines: int = 20) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        return f"  (cannot be read: {error})"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (it is empty)"
