"""``spillway plan``: what hosting a model takes and costs.

Knows options and files. Knows no arithmetic.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from router.errors import CapacityError

app = typer.Typer()


ConfigOption = Annotated[
    str, typer.Option("--config", metavar="FILE|PRESET", help="A model's config.json, or the name of a preset.")
]
GpuOption = Annotated[str, typer.Option("--gpu", help="An accelerator, e.g. h100, h200, l40s.")]
ContextOption = Annotated[str, typer.Option("--context", help="Tokens that a sequence may reach, e.g. 8192 or 32k.")]
ConcurrencyOption = Annotated[int, typer.Option("--concurrency", help="Sequences that are decoded at once.")]
QuantOption = Annotated[
    str | None, typer.Option("--quant", help="bf16, fp8, int8, int4, nvfp4, mxfp4; default: as it is published.")
]
KvOption = Annotated[str, typer.Option("--kv", help="Format of the key-value cache: bf16 or fp8.")]
GpusOption = Annotated[int | None, typer.Option("--gpus", min=1, help="Accelerators a replica; default: the fewest.")]
PromptTokensOption = Annotated[int, typer.Option("--prompt-tokens", min=1, help="Of a typical request.")]
AnswerTokensOption = Annotated[int, typer.Option("--answer-tokens", min=1, help="Of a typical request.")]
UsdPerHourOption = Annotated[
    float | None, typer.Option("--usd-per-hour", min=0, help="Of one accelerator; default: a rough rental price.")
]
ApiPriceOption = Annotated[
    str | None,
    typer.Option("--api-price", metavar="IN,OUT", help="USD per million tokens of an API to beat: 0.15,0.60."),
]
OffloadOption = Annotated[float, typer.Option("--offload", help="Share of the experts kept in host memory, 0 to 1.")]
HostGbsOption = Annotated[float, typer.Option("--host-gbs", min=1, help="10^9 bytes a second from host memory.")]
UsableOption = Annotated[float, typer.Option("--usable", help="Share of the memory for weights and caches.")]
ReadingOption = Annotated[float, typer.Option("--reading", help="Share of the bandwidth that is reached (assumed).")]
ComputingOption = Annotated[float, typer.Option("--computing", help="Share of the arithmetic reached (assumed).")]
PlotOption = Annotated[Path | None, typer.Option("--plot", metavar="FILE.svg", help="Also draw cost over utilisation.")]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")]


@app.command("plan")
def plan(
    config: ConfigOption,
    gpu: GpuOption,
    context: ContextOption = "8k",
    concurrency: ConcurrencyOption = 16,
    quant: QuantOption = None,
    kv: KvOption = "bf16",
    gpus: GpusOption = None,
    prompt_tokens: PromptTokensOption = 1000,
    answer_tokens: AnswerTokensOption = 300,
    usd_per_hour: UsdPerHourOption = None,
    api_price: ApiPriceOption = None,
    offload: OffloadOption = 0.0,
    host_gbs: HostGbsOption = 50.0,
    usable: UsableOption = 0.9,
    reading: ReadingOption = 0.6,
    computing: ComputingOption = 0.4,
    plot: PlotOption = None,
    as_json: AsJsonOption = False,
) -> None:
    """Say what hosting a model takes and costs: parameters, memory, accelerators, speed, US dollars, break-even.

    Arithmetic on the model's config.json; ceilings and estimates are told apart, and every assumption is an option.
    """
    from rich.console import Console

    from router.capacity.cost import Traffic
    from router.capacity.hardware import gpu as known_gpu
    from router.capacity.memory import quantisation
    from router.capacity.presets import PRESETS, preset
    from router.capacity.reading import read
    from router.capacity.show import as_json as told
    from router.capacity.show import draw, show
    from router.capacity.sizing import Wanted
    from router.capacity.sizing import plan as planned

    model = preset(config) if config.lower() in PRESETS or not Path(config).exists() else read(Path(config))
    accelerator = known_gpu(gpu)
    wanted = Wanted(
        quant=quantisation(quant, model),
        gpu=accelerator,
        context=_tokens(context),
        concurrency=concurrency,
        traffic=Traffic(prompt=prompt_tokens, answer=answer_tokens),
        usd_per_gpu_hour=accelerator.usd_per_hour if usd_per_hour is None else usd_per_hour,
        kv=kv,
        gpus=gpus,
        usable=usable,
        reading=reading,
        computing=computing,
        offload=offload,
        host_gbs=host_gbs,
        api=None if api_price is None else _prices(api_price),
    )
    found = planned(model, wanted)
    if as_json:
        typer.echo(json.dumps(told(config, model, found), indent=2))
    else:
        show(config, model, found, Console(highlight=False, width=110))
    _write(plot, lambda to: draw(found, config, to))


def _write(path: Path | None, write: Callable[[Path], None]) -> None:
    try:
        if path is not None:
            write(path)
    except OSError as error:
        raise CapacityError(f"--plot {path}: {error.strerror or error}") from error


def _tokens(text: str) -> int:
    found = re.fullmatch(r"(\d+)(k?)", text.strip().lower())
    if found is None:
        raise CapacityError(f"--context: must be a number of tokens such as 8192 or 32k, not {text!r}")
    return int(found[1]) * (1024 if found[2] else 1)


def _prices(text: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        prompt, answer = (float(part) for part in parts)
    except ValueError:
        raise CapacityError(f"--api-price: must be two numbers such as 0.15,0.60, not {text!r}") from None
    if not (0 <= prompt < float("inf") and 0 <= answer < float("inf")):
        raise CapacityError("--api-price: prices must be zero or more")
    return prompt, answer
