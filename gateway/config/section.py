"""What every section of ``spillway.yaml`` has in common, and the kinds of values that several have.

Knows no section.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(le=1e7)]  # timers overflow beyond, and nobody waits for months
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+[^\s?#]*$")]


class Section(BaseModel):
    """Base of every section: nothing unknown is accepted, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)
