"""``spillway demo`` and ``spillway simulate``.

Knows options and their defaults; everything else is imported when a command runs.
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def demo(
    queries: Annotated[int, typer.Option(min=60, help="Different questions: two thirds to learn from.")] = 750,
    port: Annotated[int | None, typer.Option(help="The gateway's port; default 8080, or any free one.")] = None,
    directory: Annotated[Path, typer.Option(help="Where configuration, ledger and scorer go.")] = Path("spillway-demo"),
    seed: Annotated[int, typer.Option(help="Other questions, other luck.")] = 0,
    serve: Annotated[bool, typer.Option("--serve/--exit", help="Keep the gateway running afterwards.")] = True,
) -> None:
    """See a cascade at work on simulated models: traffic, training, a strategy, and what it saves. No key needed."""
    from gateway.demo.run import Options, run

    run(Options(queries=queries, port=port, directory=directory, seed=seed, serve=serve))


@app.command()
def simulate(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8090,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="What the models' luck is drawn from.")] = 0,
    pace: Annotated[float, typer.Option(min=0.0, help="Multiplies all latencies; 0 answers at once.")] = 1.0,
) -> None:
    """Serve the three simulated models over OpenAI's protocol, for demos and tests."""
    from gateway.demo.server import serve

    serve(host, port, seed=seed, pace=pace)
