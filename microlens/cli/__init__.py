"""The command line: `microlens-build`. One command a file, no logic; a stage's imports stay inside its command."""

from __future__ import annotations

import errno
import sys
from typing import NoReturn

import typer

from microlens.cli import (
    benchmark_group,
    crawl,
    demo,
    doctor,
    export,
    features,
    filter,  # noqa: A004 - a command has the name that its users type
    import_,
    integrate,
    plan,
    platform,
    publish,
    recommend,
    recover,
    reproduce,
    retry,
    run,
    status,
    subset,
    tune,
    work,
)
from microlens.cli.extras import install
from microlens.errors import BUG_EXIT_CODE, DiskFullError, MicrolensError, RecipeError
from microlens.garbage import collect_seldom

INTERRUPT_EXIT_CODE = 130
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
"""What a place that was given, for results say, answers where nothing can be made, or where something else stands."""

app = typer.Typer(
    name="microlens-build",
    help="Turn a micro-video site into a published recommendation dataset and a leaderboard on it.",
    epilog="Exit codes: 0 done, 1 a check or a training failed, 2 recipe or option, 3 an earlier stage is not done, "
    "4 too few users (--strict), 5 site, Redis, database, store or Spark unreachable, 6 a page has changed, "
    "7 another pseudonym key, 8 corrupt data, 9 disk full, 70 a bug, 130 stopped by Ctrl-C.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS = (
    demo, run, plan, crawl, work, integrate, filter, subset, publish, import_, features, tune, recommend, reproduce,
    status, retry, recover, export, doctor
)  # fmt: skip
for command in COMMANDS:
    app.command(command.NAME)(command.command)
for group in (benchmark_group, platform):
    app.add_typer(group.app, name=group.NAME)


def main() -> NoReturn:
    """Run the command line; an expected error is one plain message and its own exit code, a bug keeps its traceback."""
    collect_seldom()
    try:
        app(standalone_mode=True)
    except MicrolensError as error:
        sys.stderr.write(f"microlens-build: {error}\n")
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename and error.errno in REFUSED:
            reason = f"{error.filename} cannot be read or written: {error.strerror}"
            sys.stderr.write(f"microlens-build: {reason}\nchange its permissions, or choose another place\n")
            sys.exit(RecipeError.exit_code)
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            _tell_bug()
        where = f": nothing more can be written to {error.filename}" if error.filename else ""
        sys.stderr.write(f"microlens-build: the disk is full{where}\n{DiskFullError.usual_hint}\n")
        sys.exit(DiskFullError.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPT_EXIT_CODE:  # what typer makes of a KeyboardInterrupt
            sys.stderr.write("microlens-build: stopped; run the same command again to go on\n")
        raise
    except ModuleNotFoundError as error:
        command = install(error.name, next(iter(sys.argv[1:]), ""))
        if command is None:
            _tell_bug()
        sys.stderr.write(f"microlens-build: this command needs {error.name}, which is not installed\n{command}\n")
        sys.exit(RecipeError.exit_code)
    except Exception:  # noqa: BLE001 - the last stop: a bug is shown whole and has its own exit code
        _tell_bug()
    sys.exit(0)


def _tell_bug() -> NoReturn:
    import traceback

    traceback.print_exc()
    sys.stderr.write("microlens-build: this is a bug; please report it with the lines above\n")
    sys.exit(BUG_EXIT_CODE)
