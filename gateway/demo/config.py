"""The configuration that the demo writes, as a person would write it.

Knows the words of ``spillway.yaml``. Does not check them: the gateway does, as with any other configuration.
"""

from pathlib import Path

from gateway.demo.simulated import MODELS, SimulatedModel

POLICY = "demo"
SAFE_MODEL = tuple(MODELS)[-1]  # the largest

_HEAD = """\
# Written by `spillway demo`. The models are simulated: small programs that err, not language models.
server:
  host: 127.0.0.1
  port: {port}
  access_log: false

database:
  url: sqlite+aiosqlite:///{database}  # keys and the ledger

models:
"""

_MODEL = """\
  - name: {name}
    backend: openai_compatible
    base_url: {base_url}
    price: {{input_usd_per_mtok: {input}, output_usd_per_mtok: {output}}}
    context_tokens: 8192
    max_output_tokens: 1024
    capabilities: [logprobs]
"""

_POLICY = """
policies:
  - name: {name}  # ask for it as `auto` or `cascade/{name}`
    safe_model: {safe_model}  # answers alone until a strategy is chosen, and whenever the scorer cannot judge
    cache: all  # also answers that were sampled: asking the same again brings the same answer
"""

_STRATEGY = """\
    strategy: {strategy}
    scorer: {scorer}
"""


def write(
    path: Path, *, port: int, models_url: str, database: str, strategy: Path | None = None, scorer: Path | None = None
) -> None:
    """Write the configuration; without a strategy the gateway only observes, and the safe model answers."""
    parts = [_HEAD.format(port=port, database=database)]
    parts += [_model(model, models_url) for model in MODELS.values()]
    parts.append(_POLICY.format(name=POLICY, safe_model=SAFE_MODEL))
    if strategy is not None and scorer is not None:
        parts.append(_STRATEGY.format(strategy=strategy.name, scorer=scorer.name))
    path.write_text("".join(parts), encoding="utf-8")


def _model(model: SimulatedModel, base_url: str) -> str:
    return _MODEL.format(
        name=model.name, base_url=base_url, input=model.input_usd_per_mtok, output=model.output_usd_per_mtok
    )
