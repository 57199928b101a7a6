"""Writes what is made of one source: Grafana's dashboards and Prometheus' rules, here and in the chart.

    python -m dashboards.generate            # writes
    python -m dashboards.generate --check    # says which files differ, and exits with 1 if any does

Knows which file is made of what. Needs the development dependencies.
"""

import json
import sys
from pathlib import Path

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.grafana.gateway_board import gateway_board
from dashboards.grafana.ledger_board import ledger_board
from dashboards.prometheus.rules import groups

_ROOT = Path(__file__).parent.parent
_CHART = _ROOT / "helm" / "spillway" / "files"
_MADE = "# Made by python -m dashboards.generate of dashboards/prometheus/rules.py\n"
_RELEASE = 'namespace="__NAMESPACE__", job="__JOB__"'
"""Of the chart, which puts its release's names in."""


def made() -> dict[Path, str]:
    """Every file and its content."""
    boards = {"gateway": gateway_board(), "ledger": ledger_board()}
    texts = {
        name: json.dumps(board.build(), cls=JSONEncoder, sort_keys=True, indent=2) + "\n"
        for name, board in boards.items()
    }
    files = {_ROOT / "dashboards" / "grafana" / f"spillway-{name}.json": text for name, text in texts.items()}
    files |= {_CHART / "dashboards" / f"spillway-{name}.json": text for name, text in texts.items()}
    files[_ROOT / "dashboards" / "prometheus" / "spillway.rules.yaml"] = _rules("")
    files[_CHART / "rules.yaml"] = _rules(_RELEASE)
    return files


def _rules(mine: str) -> str:
    return _MADE + yaml.safe_dump({"groups": groups(mine)}, sort_keys=False, width=1000, allow_unicode=True)


def main(arguments: list[str]) -> int:
    """Write, or compare. Returns the exit status."""
    files = made()
    differing = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in differing:
        print(path.relative_to(_ROOT))
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], "utf-8")
    return 1 if differing and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
