"""Panels in the house's way: a title, a sentence, a unit, queries. Knows Grafana's builders; knows no metric."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

METRICS = models.DataSourceRef(type_val="prometheus", uid="${metrics}")
LEDGER = models.DataSourceRef(type_val="grafana-postgresql-datasource", uid="${ledger}")

_WIDTH, _HEIGHT = 12, 8


@dataclass(frozen=True, slots=True)
class Q:
    """A query. expr : PromQL or SQL.   legend : of PromQL's series, with labels in double braces."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """unit : of Grafana's ids.   stacked : upon each other.   bars : in place of lines.   width : of 24."""

    unit: str = "short"
    stacked: bool = False
    bars: bool = False
    width: int = _WIDTH
    least: float | None = 0.0
    most: float | None = None
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over time. said : what they mean, in a sentence."""

    title: str
    said: str
    queries: Sequence[Q]
    look: Look = Look()


@dataclass(frozen=True, slots=True)
class Figure:
    """One number now. said : what it means."""

    title: str
    said: str
    query: Q
    look: Look = Look(width=4)


class Sql(Dataquery, Builder[Dataquery]):
    """A query of PostgreSQL's data source, which the SDK does not have."""

    def __init__(self, sql: str, ref_id: str, form: str) -> None:
        self._sql, self._ref, self._form = sql, ref_id, form

    def build(self) -> Dataquery:
        """Itself: there is nothing left to be said."""
        return self

    def to_json(self) -> dict[str, Any]:
        """As Grafana keeps it."""
        return {
            "refId": self._ref, "datasource": LEDGER, "editorMode": "code", "format": self._form, "rawQuery": True,
            "rawSql": self._sql,
        }  # fmt: skip


def board(uid: str, title: str, said: str, *, since: str, refresh: str) -> dashboard.Dashboard:
    """An empty dashboard."""
    made = dashboard.Dashboard(title).uid(uid).description(said).tags(["spillway"]).timezone("browser")
    return made.time(since, "now").refresh(refresh).editable().tooltip(models.DashboardCursorSync.CROSSHAIR)


def lines(chart: Chart) -> timeseries.Panel:
    """A chart over time, of metrics."""
    panel = _chart(chart.title, chart.said, chart.look).datasource(METRICS)
    for n, query in enumerate(chart.queries):
        panel = panel.with_target(_prometheus(query, n))
    return panel


def figure(told: Figure) -> stat.Panel:
    """One number, of metrics, with its course behind it."""
    return _stat(told.title, told.said, told.look).datasource(METRICS).with_target(_prometheus(told.query, 0))


def sql_bars(title: str, said: str, sql: str, look: Look | None = None) -> timeseries.Panel:
    """A chart over time, of the ledger: columns time, metric, value."""
    return _chart(title, said, look or Look()).datasource(LEDGER).with_target(Sql(sql, "A", "time_series"))


def sql_figure(title: str, said: str, sql: str, look: Look | None = None) -> stat.Panel:
    """One number, of the ledger."""
    return _stat(title, said, look or Look(width=4)).datasource(LEDGER).with_target(Sql(sql, "A", "table"))


def sql_table(title: str, said: str, sql: str, units: dict[str, str], *, width: int = _WIDTH) -> table.Panel:
    """Rows, of the ledger. units : by column."""
    panel = table.Panel().title(title).description(said).span(width).height(_HEIGHT).datasource(LEDGER)
    for column, unit in units.items():
        panel = panel.override_by_name(column, [models.DynamicConfigValue(id_val="unit", value=unit)])
    return panel.with_target(Sql(sql, "A", "table"))


def _prometheus(query: Q, n: int) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").ref_id(chr(ord("A") + n))


def _chart(title: str, said: str, look: Look) -> timeseries.Panel:
    panel = timeseries.Panel().title(title).description(said).unit(look.unit).span(look.width).height(_HEIGHT)
    legend = looks.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).show_legend(True)
    panel = panel.legend(legend.placement(common.LegendPlacement.BOTTOM)).show_points(common.VisibilityMode.NEVER)
    panel = panel.tooltip(looks.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if look.stacked:
        panel = panel.stacking(looks.StackingConfig().mode(common.StackingMode.NORMAL)).fill_opacity(40)
    if look.bars:
        panel = panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(80)
    if look.least is not None:
        panel = panel.min(look.least)
    if look.most is not None:
        panel = panel.max(look.most)
    return panel if look.decimals is None else panel.decimals(look.decimals)


def _stat(title: str, said: str, look: Look) -> stat.Panel:
    panel = stat.Panel().title(title).description(said).unit(look.unit).span(look.width).height(4)
    return panel if look.decimals is None else panel.decimals(look.decimals)
