"""What is chosen costs more, for choosing, where its engines are busy: a plan turns elsewhere before requests queue.

Knows choices and pools. Changes no price that anybody is billed by.
"""

from collections.abc import Mapping
from dataclasses import replace

from gateway.choice import Choice
from router.backends.pool import Pool

CONGESTION = "congestion"
"""The word for what this alters: a certificate was earned at the prices of idle engines."""


def priced_by_load(choice: Choice, pools: Mapping[str, Pool]) -> Choice:
    """The choice with its plan weighing each model's cost by how busy it is now; itself where none is busy.

    A strategy without a plan weighs no costs when it is carried out, and stays as it is.
    """
    plan = choice.strategy.plan
    if plan is None:
        return choice
    multipliers = {model: pools[model].congestion for model in plan.models if model in pools}
    if all(multiplier == 1.0 for multiplier in multipliers.values()):
        return choice
    strategy = replace(choice.strategy, plan=plan.congested(multipliers))
    return replace(choice, strategy=strategy, altered=(*choice.altered, CONGESTION))
