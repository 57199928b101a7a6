"""What a request must pass before anything is done for it: may this key ask for this at all?

Knows callers and what is served. Knows no body, no money and no HTTP.
"""

from gateway.errors import Forbidden, NotPermittedModel
from gateway.keys import Caller
from gateway.policies import AUTO, PREFIX


def must_be_open_to(caller: Caller, requested: str, policy: str | None) -> None:
    """Raises Forbidden for a key that only looks, NotPermittedModel for a name that the key does not have.

    policy : the one behind the name; a key that has ``cascade/<policy>`` may also call it ``auto``.
    """
    if caller.role == "viewer":
        raise Forbidden("This key is a viewer's: it sees spend and decisions, and calls no model.")
    names = (requested,) if policy is None else (requested, PREFIX + policy)
    if not caller.may_ask_for(*names):
        open_to = ", ".join(caller.models or ()) or "nothing"
        raise NotPermittedModel(f"This key may not ask for {requested!r}; it may ask for: {open_to}.", param="model")


def names_open_to(caller: Caller, names: tuple[str, ...], default: str | None) -> tuple[str, ...]:
    """Those of the served names that the key may ask for."""
    behind_auto = () if default is None else (PREFIX + default,)
    return tuple(name for name in names if caller.may_ask_for(name, *(behind_auto if name == AUTO else ())))
