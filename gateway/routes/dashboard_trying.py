"""POST /dashboard/canaries: the strategy at the slider answers a part of a policy's conversations, or no longer does.

Knows the form's fields and who may send it. What may be tried is known to ``gateway/policies.py``.
"""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlencode

from gateway.canaries.store import CanaryStore
from gateway.canary import Canary
from gateway.dashboard.facts import Facts, PolicyFacts
from gateway.dashboard.strategy_page import at_slider, positions
from gateway.dashboard.viewer import Viewer

Form = Mapping[str, str]
SHARES = (0.01, 0.05, 0.1, 0.25, 0.5)


class NotChanged(Exception):
    """Why nothing was done, in a sentence. status : of the response."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


class Trying:
    """Sets and ends canaries. changed : hears of it."""

    def __init__(self, store: CanaryStore, facts: Callable[[], Facts], changed: Callable[[], Awaitable[None]]) -> None:
        self._store, self._facts, self._changed = store, facts, changed

    async def change(self, viewer: Viewer, form: Form) -> str:
        """Fields ``of`` (the policy), ``share``, and the slider's; or ``of`` and ``end``. Returns where to go."""
        if not viewer.operates:
            raise NotChanged("Only the operator tries strategies on other people's requests.", 403)
        policy = next((one for one in self._facts().policies if one.name == form.get("of")), None)
        if policy is None:
            raise NotChanged("There is no such policy.", 404)
        if policy.canary_written:
            raise NotChanged("The configuration names this policy's canary: change it there.", 409)
        if "end" in form:
            await self._store.end(policy.name)
        else:
            await self._store.set(policy.name, _canary(policy, form), viewer.key_id)
        await self._changed()
        return "/dashboard/strategy?" + urlencode({"policy": policy.name})


def _canary(policy: PolicyFacts, form: Form) -> Canary:
    told, share = policy.strategy, form.get("share", "")
    if told is None:
        raise NotChanged("The policy observes: there is nothing that another strategy could stand beside.", 409)
    if share not in {f"{one:g}" for one in SHARES}:
        raise NotChanged(f"The share must be one of {', '.join(f'{one:g}' for one in SHARES)}.")
    name, first, step, count = positions(told)
    try:
        position = round((float(form.get(name, "")) - first) / step)
    except ValueError:
        position = -1
    if not 0 <= position < count:
        raise NotChanged(f"The field {name} must be where the slider can stand.")
    strategy = at_slider(told, position)
    if (strategy.stages, strategy.plan) == (told.stages, told.plan):
        raise NotChanged("The slider stands where it stands today: there is nothing to try.")
    return Canary(strategy=strategy, share=float(share))
