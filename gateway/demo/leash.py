"""Runs a ``spillway`` command that ends when the process that started it ends, however that happens.

``python -m gateway.demo.leash serve --config …``: standard input is the leash. The starter holds the other end of the
pipe open and writes nothing; when it dies, even by SIGKILL, the kernel closes the pipe and the command is told to stop.
"""

import os
import signal
import threading
import time

from gateway.cli import main

_GRACE_S = 10.0


def _stop_when_let_go() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_stop_when_let_go, name="leash", daemon=True).start()
    main()
