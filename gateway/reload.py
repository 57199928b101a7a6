"""Changing to the configuration as it now stands in its file, without a stop.

What is wrong with it is said, and what served before goes on serving. What a change of needs a restart is named.
Knows which settings those are, and whether the last change went well. Serves nothing itself.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.config.contents import Contents
from gateway.config.identity import settings_identity
from gateway.config.section import Section
from gateway.config.settings import Settings
from gateway.errors import ConfigError, Problem
from gateway.offer import Offer
from gateway.policies import Policy
from gateway.serving import Serving

_log = logging.getLogger("spillway.config")

NEEDS_RESTART = (
    *("server.host", "server.port", "server.leave_s", "server.drain_s", "server.access_log"),
    *("database", "ledger.spool", "ledger.spool_max_bytes", "ledger.rollup_every_s"),
    *("auth", "admin.host", "admin.port"),
    *("redis", "rate_limits", "alerts", "telemetry", "cache"),
)
"""Settings, or whole sections, that a running process keeps as it was started with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """changed : the fields that are new and hold now.   restart_needed : those that are new and do not hold yet."""

    changed: Sequence[str]
    restart_needed: Sequence[str]


class Reloading:
    """The one that reloads.

    reread : the settings as they stand in the file now.   load : what they offer.
    adopt : whoever keeps something of the settings beside what requests are served with.
    contents : of the files.   seen : what they were when they were last read, whatever came of it.
    served : what tells the configuration that is served from others.
    """

    def __init__(
        self,
        serving: Serving,
        reread: Callable[[], Settings],
        load: Callable[[Settings, Offer], Offer],
        adopt: Callable[[Settings], None],
        contents: Contents | None = None,
        seen: str = "",
    ) -> None:
        self._serving, self._reread, self._load, self._adopt = serving, reread, load, adopt
        self._started_with = serving.offer.settings
        self._contents = contents or Contents(serving.offer.settings.path)
        self.seen = seen or self._contents.look()
        self.served = _served(serving.offer.settings, self._contents)
        self._one_at_a_time = asyncio.Lock()
        self.loaded_at = datetime.now(UTC)
        self.refused_at: datetime | None = None  # None: the file, as it was last read, is what is served
        self.problems: Sequence[Problem] = ()
        self.applied = self.refused = 0  # for metrics

    @property
    def restart_needed(self) -> Sequence[str]:
        """The fields in which the file, as it is served, differs from what this process was started with."""
        return _differences(self._started_with, self._serving.offer.settings, NEEDS_RESTART)

    def look(self) -> str:
        """What the files are now; not what was read last where it differs from ``seen``."""
        return self._contents.look()

    async def reload(self) -> Reloaded:
        """Read the file and serve what it says from the next request on. Raises ConfigError, having changed nothing."""
        async with self._one_at_a_time:
            before = self._serving.offer
            try:
                after, served = await asyncio.to_thread(self._loaded, before)
            except ConfigError as error:
                self._refuse(error)
                raise
            except Exception as error:
                _log.exception("the configuration could not be loaded")
                problem = Problem(
                    file=before.settings.path, line=None, field="", message=f"cannot be loaded: {type(error).__name__}"
                )
                unforeseen = ConfigError([problem])
                self._refuse(unforeseen)
                raise unforeseen from error
            self._serving.change_to(after)
            self.served = served
            self._adopt(after.settings)
            self.applied += 1
            self.loaded_at, self.refused_at, self.problems = datetime.now(UTC), None, ()
            done = Reloaded(changed=tuple(_changes(before, after)), restart_needed=self.restart_needed)
        fields = {"changed": done.changed, "restart_needed": done.restart_needed}
        _log.info("configuration changed", extra={"fields": fields})
        if done.restart_needed:
            _log.warning("what this process keeps until it is restarted: %s", ", ".join(done.restart_needed))
        return done

    def _loaded(self, before: Offer) -> tuple[Offer, Sequence[str]]:
        """What is changed while it is read is seen the next time, since it is looked at before."""
        self.seen = self._contents.look()
        settings = self._reread()
        served = _served(settings, self._contents)
        return self._load(settings, before), served

    def _refuse(self, error: ConfigError) -> None:
        self.refused += 1
        self.refused_at, self.problems = datetime.now(UTC), error.problems
        told = {"problems": [str(problem) for problem in error.problems]}
        _log.error("configuration refused; what served before goes on serving", extra={"fields": told})


class ConfigMetrics(Collector):
    """Whether what is served is what the file says."""

    def __init__(self, reloading: Reloading, serving: Serving) -> None:
        self._reloading, self._serving = reloading, serving

    def collect(self) -> Iterator[Metric]:
        """As Prometheus' client asks for it."""
        reloading = self._reloading
        said = "Changes of the configuration by what came of them"
        reloads = CounterMetricFamily("spillway_config_reloads", said, labels=("result",))
        reloads.add_metric(("applied",), reloading.applied)
        reloads.add_metric(("refused",), reloading.refused)
        yield reloads
        refused = float(reloading.refused_at is not None)
        yield GaugeMetricFamily("spillway_config_refused", "Whether the file was refused as last read", value=refused)
        said = "When the configuration that is served was loaded"
        loaded = reloading.loaded_at.timestamp()
        yield GaugeMetricFamily("spillway_config_loaded_timestamp_seconds", said, value=loaded)
        said = "Settings of the file that hold only after a restart"
        waiting = len(reloading.restart_needed)
        yield GaugeMetricFamily("spillway_config_restart_needed", said, value=waiting)
        said = "Configurations that requests are being served with"
        yield GaugeMetricFamily("spillway_configs_in_use", said, value=self._serving.in_use)


def _served(settings: Settings, contents: Contents) -> Sequence[str]:
    return settings_identity(settings), contents.files(settings)


def _changes(before: Offer, after: Offer) -> Iterator[str]:
    """Fields by name; models and policies by their own; a policy whose strategy or scorer has another content, too."""
    old, new, kept = _leaves(before.settings), _leaves(after.settings), set(NEEDS_RESTART)
    for path in sorted(new.keys() | old.keys()):
        if not kept & {path, path.partition(".")[0]} and old.get(path) != new.get(path):
            yield path
    versions = {policy.name: _version(policy) for policy in before.policies}
    for policy in after.policies:
        if policy.name in versions and versions[policy.name] != _version(policy):
            yield f"policies.{policy.name} (what its files say)"


def _version(policy: Policy) -> object:
    return (
        policy.strategy.id if policy.strategy is not None else None,
        policy.scorer.version if policy.scorer is not None else None,
        policy.canary.strategy.id if policy.canary is not None else None,
    )


def _differences(old: Settings, new: Settings, paths: Sequence[str]) -> Sequence[str]:
    return tuple(path for path in paths if _at(old, path) != _at(new, path))


def _at(settings: Settings, path: str) -> Any:
    value: Any = settings
    for part in path.split("."):
        value = getattr(value, part)
    return value


def _leaves(settings: Settings) -> Mapping[str, Any]:
    """What can change, by name: each field of a section, and each model and policy as a whole."""
    found: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name in ("models", "policies"):
            found |= {f"{name}.{one.name}": one for one in value}
        elif isinstance(value, Section):
            found |= {f"{name}.{field}": getattr(value, field) for field in type(value).model_fields}
        else:
            found[name] = value
    return found
