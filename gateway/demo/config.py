"""The configuration that the demo writes, as a person would write it.

Knows the words of ``spillway.yaml``. Does not check them: the gateway does, as with any other configuration.
"""

from gateway.demo.folder import WorkingFolder
from gateway.demo.simulated import MODELS
from router.catalog import UNIT

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

prices: {prices}

models:
"""

_MODEL = """\
  - name: {name}
    backend: openai_compatible
    base_url: {base_url}
    context_tokens: 8192
    max_output_tokens: 1024
    capabilities: [logprobs]
"""

_PRICE = """\
  {name}: {{input: {input}, output: {output}, source: invented}}
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


def write(folder: WorkingFolder, *, port: int, models_url: str, learnt: bool = False) -> None:
    """Write the configuration and the prices that it refers to.

    learnt : a strategy and its scorer are there; without them the gateway observes, and the safe model answers.
    """
    prices = "".join(
        _PRICE.format(name=model.name, input=model.input_usd_per_mtok, output=model.output_usd_per_mtok)
        for model in MODELS.values()
    )
    folder.prices.write_text(f"unit: {UNIT}\nmodels:\n{prices}", encoding="utf-8")
    parts = [_HEAD.format(port=port, database=folder.database.name, prices=folder.prices.name)]
    parts += [_MODEL.format(name=name, base_url=models_url) for name in MODELS]
    parts.append(_POLICY.format(name=POLICY, safe_model=SAFE_MODEL))
    if learnt:
        parts.append(_STRATEGY.format(strategy=folder.strategy.name, scorer=folder.scorer.name))
    folder.config.write_text("".join(parts), encoding="utf-8")
