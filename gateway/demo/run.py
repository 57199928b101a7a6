"""``spillway demo``: the whole way from nothing to a running cascade, on simulated models.

Knows the order of the steps. How each is done, counted and shown lives in the modules beside this one.
"""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from gateway.demo.comparison import compare
from gateway.demo.course import Course
from gateway.demo.folder import take
from gateway.demo.progress import Steps
from gateway.demo.show import say, show_accounts, show_comparison, show_endpoint
from gateway.demo.stage import Stage, gateway_port
from gateway.demo.tasks import generate

_LEARNT_SHARE = 2 / 3
_INTERRUPTED = 130  # the status by which shells tell an interruption


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """queries : different questions in all.   port : None for the default or any free one.   serve : keep running."""

    queries: int
    port: int | None
    directory: Path
    seed: int
    serve: bool


def run(options: Options, console: Console | None = None) -> None:
    """Run the demo. Raises DemoError for what stands in its way. No process is left behind, however it ends."""
    console = console or Console(highlight=False)
    with _termination_as_interrupt(), ExitStack() as stack:
        try:
            _run(options, console, stack)
        except KeyboardInterrupt:
            say(console, "\nInterrupted. Everything that was started is being stopped.")
            raise SystemExit(_INTERRUPTED) from None


def _run(options: Options, console: Console, stack: ExitStack) -> None:
    tasks = generate(options.seed, options.queries)
    learnt = round(_LEARNT_SHARE * len(tasks))
    stage = stack.enter_context(Stage(take(options.directory), gateway_port(options.port), seed=options.seed))
    course = Course(stage, Steps(console, 6), seed=options.seed)
    course.start()
    course.gather(tasks[:learnt])
    course.train()
    strategy = course.choose()
    served = course.serve(tasks[learnt:])
    alone = course.ask_each_model(tasks[learnt:])
    show_comparison(console, compare(served, alone, strategy))
    show_accounts(console, course.accounts())
    if options.serve:
        show_endpoint(
            console, base_url=stage.base_url, key=course.app_key, config=str(options.directory / "spillway.yaml")
        )
        try:
            stage.watch()
        except KeyboardInterrupt:
            say(console, "\nStopping the gateway and the simulated models.")


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, also where the shell that began it in the background ignores Ctrl-C.

    It is handed on as SIGINT, not raised here: a running event loop cancels its tasks for that one, where an exception
    out of a handler would tear whichever task happens to run and be reported as its failure.
    """

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
