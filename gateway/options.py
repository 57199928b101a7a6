"""Command-line options that more than one command has. Knows their names, defaults and help."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("spillway.yaml")
ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="SPILLWAY_CONFIG", help="The configuration file.", show_default=True)
]
