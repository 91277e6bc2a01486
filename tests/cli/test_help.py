"""Every command is documented: a sentence, an example, and a word on every option."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from microlens.cli import app
from microlens.cli.default_command import RunByDefault

README = (Path(__file__).parents[2] / "README.md").read_text()
GROUP = typer.main.get_command(app)


def commands_of(group):
    """Every command by the words that call it; one that is meant where none is named stands for its group."""
    for name, command in group.commands.items():
        default = command.default if isinstance(command, RunByDefault) else None
        for inner, one in getattr(command, "commands", {None: command}).items():
            yield (name if inner == default else f"{name} {inner}"), one


COMMANDS = dict(commands_of(GROUP))
PARAMETERS = [
    pytest.param(parameter, id=f"{name} {parameter.name}")
    for name, command in COMMANDS.items()
    for parameter in command.params
]


def test_the_commands_are_those_of_the_page():
    """Every command stands in the README."""
    assert [] == [name for name in COMMANDS if f"`microlens-build {name}" not in README]


def test_the_page_tells_which_commands_give_json():
    """The README names each command that has `--json`, and no other."""
    (told,) = re.findall(r"`--json` on ([^.]+?) prints", README.replace("\n", " "))
    having = {name for name, command in COMMANDS.items() if any("--json" in one.opts for one in command.params)}

    assert having == set(re.findall(r"`([a-z ]+)`", told))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_sentence_and_an_example(name):
    """A command's help begins with a sentence and ends with a line that can be typed."""
    sentence, *_, example = COMMANDS[name].help.strip().split("\n\n")

    assert re.match(r"[A-Z].+[.]", sentence.replace("\n", " "))
    assert re.match(rf"microlens-build {name}\b", example.strip())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_example_uses_known_options(name):
    """The options of an example are options of its command."""
    example = COMMANDS[name].help.strip().split("\n\n")[-1]
    known = {spelling for parameter in COMMANDS[name].params for spelling in parameter.opts}

    assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", example)) <= known


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_every_option_has_help(parameter):
    """Each option and argument says in words what it is for."""
    assert re.search(r"\w{3}", getattr(parameter, "help", None) or "")


@pytest.mark.parametrize("arguments", [["--help"], *([*name.split(), "--help"] for name in sorted(COMMANDS))])
def test_help_is_shown(arguments):
    """Help is standard output, and no error."""
    done = CliRunner().invoke(app, arguments)

    assert 0 == done.exit_code
    assert "Usage: " in done.stdout


def test_no_command_is_help():
    """Without a command the help is shown."""
    done = CliRunner().invoke(app, [])

    assert "Usage: " in done.output
    assert all(name in done.output for name in GROUP.commands)


def test_a_group_runs_what_is_meant():
    """`benchmark --list` needs no `run`; the help of `benchmark` has its options and the other commands."""
    listed = CliRunner().invoke(app, ["benchmark", "--list"])
    shown = CliRunner().invoke(app, ["benchmark", "--help"]).stdout

    assert listed.stdout == CliRunner().invoke(app, ["benchmark", "run", "--list"]).stdout
    assert "sasrec" in listed.stdout
    assert all(word in shown for word in ("--models", "--split", "compare", "report"))


def test_an_unknown_option_of_a_group_is_no_command():
    """What is misspelled is told as an option of `run`."""
    done = CliRunner().invoke(app, ["benchmark", "--modles", "sasrec"])

    assert 2 == done.exit_code
    assert "No such option: --modles" in done.output
