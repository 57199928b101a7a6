"""A plan as text, as JSON and as a picture of cost over utilisation.

Knows formats. Computes nothing that a plan does not hold.
"""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from router.capacity.architecture import Architecture
from router.capacity.hardware import GIB
from router.capacity.sizing import Plan

_WIDTH, _HEIGHT, _MARGIN = 640, 360, 56


def as_json(name: str, model: Architecture, plan: Plan) -> dict[str, Any]:
    """Everything, with units in the names."""
    wanted, placed = plan.wanted, plan.placement
    return {
        "model": name,
        "family": model.family,
        "parameters": {
            "total": model.parameters,
            "active": model.active,
            "active_without_embedding": model.active_without_embedding,
            "experts_per_layer": model.expert_choice[0],
            "experts_per_token": model.expert_choice[1],
        },
        "quantisation": wanted.quant.name,
        "weights_bytes": plan.weights.held,
        "offloaded_bytes": placed.offloaded,
        "kv": {
            "format": wanted.kv,
            "bytes_per_token": plan.kv_per_token,
            "bytes_per_sequence": plan.kv_per_sequence,
            "room_tokens": plan.kv_room_tokens,
        },
        "gpu": wanted.gpu.name,
        "gpus_per_replica": placed.gpus,
        "context_tokens": wanted.context,
        "concurrency": wanted.concurrency,
        "decode": [
            {
                "batch": step.batch,
                "unique_expert_fraction": step.touched,
                "ceiling_tokens_per_s": step.ceiling,
                "estimate_tokens_per_s": step.estimate,
            }
            for step in plan.steps
        ],
        "prefill_estimate_tokens_per_s": plan.prefill_per_s,
        "usd_per_hour": plan.usd_per_hour,
        "usd_per_million_answer_tokens": [
            {"utilisation": share, "usd": amount} for share, amount in plan.usd_per_million
        ],
        "usd_per_request_when_always_busy": plan.own_usd_per_request_busy,
        "api_usd_per_request": plan.api_usd_per_request,
        "break_even_utilisation": plan.break_even,
        "notes": list(model.notes),
    }


def show(name: str, model: Architecture, plan: Plan, console: Console) -> None:
    """For a person."""
    wanted, placed, held = plan.wanted, plan.placement, plan.weights
    experts, per_token = model.expert_choice
    kind = f"{per_token} of {experts} experts a token" if experts > 1 else "dense"
    console.print(f"[bold]{name}[/bold]: {_billions(model.parameters)} parameters, {_active(model)} ({kind})")
    console.print(
        f"weights {held.held / GIB:.1f} GiB at {wanted.quant.name}, "
        f"key-value cache {plan.kv_per_token / 1024:.0f} KiB for the first token, "
        f"{plan.kv_per_sequence / GIB:.2f} GiB for {wanted.context:,} tokens"
    )
    console.print(
        f"one replica: {placed.gpus} x {wanted.gpu.name} for {wanted.concurrency} sequences of {wanted.context:,}; "
        f"the cache has room for {plan.kv_room_tokens:,} tokens"
    )
    if placed.offloaded:
        console.print(
            f"{placed.offloaded / GIB:.1f} GiB of experts lie in host memory, read at {wanted.host_gbs:.0f} GB/s"
        )
    console.print(_decoding(plan))
    console.print(f"prompts: about {plan.prefill_per_s:,.0f} tokens/s")
    console.print(_costs(plan))
    console.print(verdict(plan))
    for note in (*model.notes, *_assumptions(plan)):
        console.print(f"[dim]- {note}[/dim]")


def verdict(plan: Plan) -> str:
    """Whether it pays, in one sentence."""
    traffic = plan.wanted.traffic
    request = f"a request of {traffic.prompt:,} + {traffic.answer:,} tokens"
    if plan.api_usd_per_request is None:
        return f"{request}: ${plan.own_usd_per_request_busy:.6f} when always busy; give --api-price for the break-even"
    against = f"{request} costs ${plan.api_usd_per_request:.6f} at the API's price"
    if plan.break_even is None:
        return f"{against} and ${plan.own_usd_per_request_busy:.6f} here, were it always busy: hosting never pays"
    return f"{against}: hosting pays from a utilisation of {plan.break_even:.0%} on"


def draw(plan: Plan, title: str, path: Path) -> None:
    """An SVG of US dollars per million answer tokens over utilisation, both axes linear."""
    top = plan.usd_per_million[1][1]  # the leftmost point would squeeze all others
    points = " ".join(f"{_x(share):.1f},{_y(min(amount, top), top):.1f}" for share, amount in plan.usd_per_million[1:])
    ticks = "".join(
        f'<text x="{_x(share):.1f}" y="{_HEIGHT - _MARGIN + 18}" text-anchor="middle">{share:.0%}</text>'
        f'<text x="{_x(share):.1f}" y="{_y(amount, top) - 8:.1f}" text-anchor="start">${amount:.2f}</text>'
        for share, amount in plan.usd_per_million[1:]
    )
    mark = ""
    if plan.break_even is not None:
        x = _x(plan.break_even)
        mark = (
            f'<line x1="{x:.1f}" y1="{_MARGIN}" x2="{x:.1f}" y2="{_HEIGHT - _MARGIN}" stroke="#b45309" '
            'stroke-dasharray="4"/>'
            f'<text x="{x + 6:.1f}" y="{_MARGIN + 12}" fill="#b45309">break-even {plan.break_even:.0%}</text>'
        )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>{_escaped(title)}</title>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
        f'<text x="{_MARGIN}" y="24" font-size="15">{_escaped(title)}: US dollars per million answer tokens</text>'
        f'<line x1="{_MARGIN}" y1="{_y(0, top)}" x2="{_WIDTH - _MARGIN}" y2="{_y(0, top)}" stroke="#555"/>'
        f'<polyline points="{points}" fill="none" stroke="#1d4ed8" stroke-width="2"/>{ticks}{mark}'
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 12}" text-anchor="middle">utilisation of the estimated speed</text>'
        "</svg>\n",
        encoding="utf-8",
    )


def _decoding(plan: Plan) -> Table:
    table = Table(title="tokens a second of one replica, by sequences decoded at once")
    for column in ("at once", "experts read", "ceiling", "estimate", "estimate, each"):
        table.add_column(column, justify="right")
    for step in plan.steps:
        table.add_row(
            str(step.batch),
            f"{step.touched:.0%}",
            f"{step.ceiling:,.0f}",
            f"{step.estimate:,.0f}",
            f"{step.estimate_each:,.0f}",
        )
    return table


def _costs(plan: Plan) -> Table:
    table = Table(title=f"$ per million answer tokens, by utilisation (${plan.usd_per_hour:.2f}/hour)")
    for share, _ in plan.usd_per_million:
        table.add_column(f"{share:.0%}", justify="right")
    table.add_row(*(f"{amount:.3f}" for _, amount in plan.usd_per_million))
    return table


def _assumptions(plan: Plan) -> tuple[str, ...]:
    wanted = plan.wanted
    return (
        "ceiling: the stated bandwidth, only the experts of one token read; no engine exceeds it",
        f"estimate: uniform routing, {wanted.reading:.0%} of the bandwidth, {wanted.computing:.0%} of the arithmetic "
        "reached, several accelerators as one; these shares are assumptions, measure yours",
        f"{wanted.usable:.0%} of the memory for weights and caches; ${wanted.usd_per_gpu_hour:.2f} for an hour of one",
    )


def _active(model: Architecture) -> str:
    """Publishers count the embedding in or leave it out: where that matters, both figures."""
    whole, without = model.active, model.active_without_embedding
    more = f", {_billions(without)} without the embedding" if without < 0.98 * whole else ""
    return f"{_billions(whole)} active{more}"


def _billions(count: int) -> str:
    return f"{count / 1e9:.2f} B"


def _x(share: float) -> float:
    return _MARGIN + share * (_WIDTH - 2 * _MARGIN)


def _y(amount: float, top: float) -> float:
    return _HEIGHT - _MARGIN - amount / top * (_HEIGHT - 2 * _MARGIN - 20)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
