"""Every command is documented: a sentence, an example, and a word on every option."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from microlens.cli import app

GROUP = typer.main.get_command(app)
COMMANDS = GROUP.commands
PARAMETERS = [
    pytest.param(parameter, id=f"{name} {parameter.name}")
    for name, command in COMMANDS.items()
    for parameter in command.params
]


def test_the_commands_are_those_of_the_page():
    """Every command stands in the README."""
    page = (Path(__file__).parents[2] / "README.md").read_text()

    assert [] == [name for name in COMMANDS if f"`microlens-build {name}" not in page]


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


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in sorted(COMMANDS))])
def test_help_is_shown(arguments):
    """Help is standard output, and no error."""
    done = CliRunner().invoke(app, arguments)

    assert 0 == done.exit_code
    assert "Usage: " in done.stdout


def test_no_command_is_help():
    """Without a command the help is shown."""
    done = CliRunner().invoke(app, [])

    assert "Usage: " in done.output
    assert all(name in done.output for name in COMMANDS)
