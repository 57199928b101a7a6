"""A command whose repeatable options take several values after one flag: ``--data a.gz b.gz`` as well as twice.

Knows how a command line is read. Knows no command.
"""

from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand, TyperOption


class ManyValues(TyperCommand):
    """For commands without positional arguments: words after a repeatable option's value are more values of it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the flag before each of its values, then read the line as ever.

        ctx : click's context, whose class moved with Typer's versions.
        """
        return super().parse_args(ctx, list(self._repeated(args)))

    def _repeated(self, args: list[str]) -> Iterator[str]:
        repeatable = {
            flag
            for option in self.params
            if isinstance(option, TyperOption) and option.multiple
            for flag in option.opts
        }
        flag: str | None = None  # the repeatable one whose values are being read
        due = False  # the word that must follow a flag, whatever it looks like
        for word in args:
            if due:
                due = False
            elif word.startswith("-") and word != "-":
                name, _, value = word.partition("=")
                flag = name if name in repeatable else None
                due = flag is not None and not value
            elif flag is not None:
                yield flag
            yield word
