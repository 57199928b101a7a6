"""A terminal gets bars; a file or a pipe gets plain lines, and not too many."""

import io
import re

from rich.console import Console

from gateway.demo.progress import Steps


def test_without_a_terminal_progress_is_a_few_plain_lines() -> None:
    written = io.StringIO()
    steps = Steps(Console(file=written, force_terminal=False), 2)
    with steps.step("Asking [sic] questions", total=1000) as advance:
        for _ in range(1000):
            advance()
    with steps.step("Thinking"):
        pass
    steps.note("a remark")
    lines = written.getvalue().splitlines()
    assert lines[:3] == [f"[1/2] Asking [sic] questions: {done} of 1000" for done in (250, 500, 750)]
    assert re.fullmatch(r"\[1/2\] Asking \[sic\] questions: \d+\.\d s", lines[3])
    assert re.fullmatch(r"\[2/2\] Thinking: \d+\.\d s", lines[4])
    assert lines[5].strip() == "a remark"
    assert "\x1b" not in written.getvalue()


def test_a_step_in_few_parts_says_little() -> None:
    written = io.StringIO()
    steps = Steps(Console(file=written, force_terminal=False), 1)
    with steps.step("Few", total=2) as advance:
        advance()
        advance()
    assert len(written.getvalue().splitlines()) == 2


def test_on_a_terminal_a_bar_comes_and_goes() -> None:
    written = io.StringIO()
    steps = Steps(Console(file=written, force_terminal=True, width=100), 1)
    with steps.step("Asking questions", total=10) as advance:
        for _ in range(10):
            advance()
    assert "10/10" in written.getvalue()
    assert "[1/1] Asking questions" in written.getvalue()
