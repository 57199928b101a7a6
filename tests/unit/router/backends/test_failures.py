"""An upstream's refusals: which error they are, how long to wait, and that no secret is in them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backends.failures import failure, failure_in_body, message_in, redacted, retry_after_s
from router.errors import BackendBroken, BackendBusy, BackendError, BackendNonsense, BackendRefused


@given(st.integers(300, 599))
def test_every_status_is_an_error_that_remembers_it(status: int) -> None:
    error = failure("m", status, "why")
    assert (error.model, error.message, error.status) == ("m", "why", status)
    assert not (isinstance(error, BackendRefused) and error.retryable)
    assert isinstance(error, BackendNonsense) == (status < 400)
    assert error.may_be_billed == (status < 400 or status in (408, 504) or (status >= 500 and status not in (503, 529)))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "x", "code": 429}, BackendBusy),
        ({"message": "x", "code": "500"}, BackendBroken),
        ({"message": "x", "status": 400}, BackendRefused),
        ({"message": "x", "code": "context_length_exceeded"}, BackendNonsense),
        ({"message": "x", "code": 200}, BackendNonsense),
        ("x", BackendNonsense),
    ],
)
def test_an_error_in_a_200_is_what_it_says_it_is(error: object, kind: type[BackendError]) -> None:
    assert type(failure_in_body("m", {"error": error}, "x")) is kind


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"error": {"message": "too\\n long"}}', "too long"),
        (b'{"error": "plain"}', "plain"),
        (b'{"message": "bare"}', "bare"),
        (b'{"detail": "fastapi"}', "fastapi"),
        (b'{"error": {"odd": 1}}', '{"error":{"odd":1}}'),
        (b"<html>\xff</html>", "<html>�</html>"),
        (b"", "no message"),
        (b"[1]", "[1]"),
    ],
)
def test_the_message_is_the_readable_part(payload: bytes, message: str) -> None:
    assert message_in(payload) == message


@given(st.text("abcdefXYZ0123-_.", min_size=8, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_a_known_secret_is_never_told(secret: str, before: str, after: str) -> None:
    assert secret not in redacted(before + secret + after, [secret])


@pytest.mark.parametrize(
    "text",
    ["Incorrect API key provided: sk-proj-abcdefgh1234.", "got Bearer abcdefgh12345678", "hf_abcdefghij is not valid"],
)
def test_what_looks_like_a_secret_is_not_told(text: str) -> None:
    assert "[redacted]" in redacted(text)
    assert "abcdefgh" not in redacted(text)


def test_messages_are_short() -> None:
    assert len(redacted("x" * 10_000)) == 500


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:07 GMT"}, 7.0),
        ({"retry-after": "Wed, 31 Dec 2025 00:00:07 GMT"}, 0.0),
        ({"retry-after": "later"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds
