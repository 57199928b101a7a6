"""Structured logs: every log of this process as JSON lines on stderr.

No key, no user and no text of a prompt or answer is ever a log field.
"""

import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any

from gateway.json_bytes import encode

access = logging.getLogger("spillway.access")

# JSON lets these stand as they are; to viewers they end a line, and to some terminals they begin a command
_ESCAPED = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


class JsonLines(logging.Formatter):
    """One JSON object a line, so that nothing that a client sends can begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, with the fields that were given as ``extra={"fields": {...}}``."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return encode(fields).decode().translate(_ESCAPED)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send every log of this process, the server's own included, to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("alembic", "LiteLLM", "litellm", "httpx", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Elapsed so far."""
        return time.perf_counter() - self._began
