"""A statement as one could send it oneself: what stands behind a figure. Knows dialects; reads nothing."""

from typing import Any

from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncConnection


def told_as(told: list[str] | None, connection: AsyncConnection, query: Executable) -> None:
    """Write a query down, its values in place, if somebody wants to know."""
    if told is None:
        return
    compiled: Any = query
    told.append(str(compiled.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})))
