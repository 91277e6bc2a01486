"""A group of commands of which one is meant where none is named: `benchmark RELEASE` is `benchmark run RELEASE`."""

from __future__ import annotations

import copy
from typing import Any

from typer.core import TyperGroup


class RunByDefault(TyperGroup):
    """What begins with no command's name, and is more than `--help`, goes to `run`; its options are in the help.

    An argument that is spelled like a command, such as a folder `report`, is written `./report`. Contexts are typer's
    own click's, whose types have no public name.
    """

    default = "run"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_named = args[:1] == ["--help"] or (bool(args) and args[0] in self.commands)
        return super().parse_args(ctx, args if is_named else [self.default, *args])

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Show the options of `run` above the list of commands."""
        shown, run = copy.copy(self), self.commands[self.default]
        shown.params = run.params
        shown.commands = {name: command for name, command in self.commands.items() if name != self.default}
        shown.help, shown.subcommand_metavar = run.help, "| COMMAND ..."
        super(RunByDefault, shown).format_help(ctx, formatter)
