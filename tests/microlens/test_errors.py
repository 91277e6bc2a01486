"""The exception tree is what its page draws."""

import re

import pytest

from microlens import errors
from microlens.cli import BUG_EXIT_CODE, INTERRUPT_EXIT_CODE, app
from microlens.errors import MicrolensError

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MicrolensError)]


def drawn():
    """(name, parent, exit code) of every line of the tree in the module's docstring."""
    above, rows = {}, []
    for line in errors.__doc__.splitlines():
        found = re.match(r"([ \u2502\u251c\u2514\u2500]*)(\w+Error)\b\s*(\d+)?", line)
        if found:
            depth = (len(found[1]) - 4) // 4
            parent = above.get(depth - 1)
            code = int(found[3]) if found[3] else parent[2]
            above[depth] = (found[2], parent and parent[0], code)
            rows.append(above[depth])
    return rows


def test_the_tree_is_drawn_as_it_is():
    """Every class stands in the drawing under its base, with its exit code, in the order of the file."""
    found = [(c.__name__, c.__bases__[0].__name__ if c is not MicrolensError else None, c.exit_code) for c in CLASSES]

    assert drawn() == found


def test_every_branch_has_its_own_exit_code():
    """Classes right below the root end the command line each with its own code, none with that of a bug."""
    codes = [c.exit_code for c in CLASSES if c.__bases__ == (MicrolensError,)]

    assert len(codes) == len(set(codes))
    assert {0, 1, 70, 130}.isdisjoint(codes)
    assert f"Exit code {BUG_EXIT_CODE} is a bug" in errors.__doc__


def test_the_help_knows_every_exit_code():
    """The command line's help tells what each code means."""
    told = {int(code) for code in re.findall(r"\b(\d+) ", app.info.epilog)}

    assert {c.exit_code for c in CLASSES} | {0, BUG_EXIT_CODE, INTERRUPT_EXIT_CODE} == told


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_says_what_happened_and_what_to_do(kind):
    """The text of an error is its message, then its hint on a line of its own."""
    assert "it broke\nmend it" == str(kind("it broke", hint="mend it"))
    assert "it broke" == str(kind("it broke"))
    assert ("it broke", "mend it") == (kind("it broke", hint="mend it").message, kind("x", hint="mend it").hint)
