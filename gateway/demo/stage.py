"""What the demo stands on: its folder, the simulated models and the gateway, each a process of its own.

Knows which commands run with which arguments. Does not know what they are used for.
"""

import time
from types import TracebackType
from typing import Self

from gateway.demo import config
from gateway.demo.children import HOST, Child, free_port
from gateway.demo.errors import DemoError
from gateway.demo.folder import WorkingFolder

_PORT = 8080
_WATCH_S = 0.5


class Stage:
    """A context in which processes run; leaving it stops them all."""

    def __init__(self, folder: WorkingFolder, port: int, *, seed: int) -> None:
        self.folder, self._port, self._seed = folder, port, seed
        self._models_port = free_port()
        self._simulators: Child | None = None
        self._gateway: Child | None = None

    @property
    def url(self) -> str:
        """The gateway's."""
        return f"http://{HOST}:{self._port}"

    @property
    def base_url(self) -> str:
        """What an OpenAI client is pointed at."""
        return f"{self.url}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in (self._gateway, self._simulators):
            if child is not None:
                child.stop()

    def start(self) -> None:
        """The simulated models, and a gateway that only observes. Raises ChildFailed."""
        arguments = ["simulate", "--host", HOST, "--port", str(self._models_port), "--seed", str(self._seed)]
        self._simulators = self._child("simulated models", "simulators", arguments)
        self._start_gateway(learnt=False)
        self._simulators.wait_ready(f"http://{HOST}:{self._models_port}/healthz")

    def restart(self) -> None:
        """The gateway anew, with the strategy and the scorer that are in the folder by now."""
        if self._gateway is not None:
            self._gateway.stop()
        self._start_gateway(learnt=True)

    def do(self, *arguments: str) -> None:
        """Run a ``spillway`` command in the folder to its end. Raises ChildFailed."""
        child = self._child(f"command `spillway {' '.join(arguments)}`", arguments[0], arguments)
        try:
            child.finish()
        finally:
            child.stop()

    def watch(self) -> None:
        """Wait for ever; raises ChildFailed as soon as a process ends."""
        while True:
            for child in (self._gateway, self._simulators):
                if child is not None:
                    child.check()
            time.sleep(_WATCH_S)

    def _start_gateway(self, *, learnt: bool) -> None:
        config.write(self.folder, port=self._port, models_url=f"http://{HOST}:{self._models_port}/v1", learnt=learnt)
        self._gateway = self._child("gateway", "gateway", ["serve", "--config", self.folder.config.name])
        self._gateway.wait_ready(f"{self.url}/readyz")

    def _child(self, name: str, log: str, arguments: list[str] | tuple[str, ...]) -> Child:
        return Child(name, arguments, cwd=self.folder.path, log=self.folder.log(log))


def gateway_port(wanted: int | None) -> int:
    """The port wanted, or else the default or any free one. Raises DemoError if the one wanted is taken."""
    port = free_port(_PORT if wanted is None else wanted)
    if wanted and port != wanted:
        raise DemoError(f"--port: {wanted} is taken; name another, or leave it out for any free one")
    return port
