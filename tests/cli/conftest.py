"""The command line as its users start it: a process of its own, with an environment of its own."""

import os
import subprocess
import sys

import pytest
import yaml

import microlens.cli

RECIPE = {
    "name": "cli",
    "platform": "sandbox",
    "instances": ["http://127.0.0.1:9"],
    "contact": "me@example.org",
    "network": {"allow": ["127.0.0.0/8"]},
}


@pytest.fixture
def runs_dir(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def cli(tmp_path, runs_dir):
    """Runs `microlens-build` in an empty folder; gives its exit code, standard output and standard error."""

    def start(*arguments, **environment):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MICROLENS_")}
        return subprocess.run(
            [sys.executable, "-m", "microlens.cli", *arguments],
            env={**clean, "MICROLENS_RUNS_DIR": str(runs_dir), "COLUMNS": "200", **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return start


@pytest.fixture
def here(tmp_path, runs_dir, monkeypatch, capsys):
    """As `cli`, in this process: for what is refused at once, where to import torch anew would be all the work."""

    def call(*arguments):
        for name in [name for name in os.environ if name.startswith("MICROLENS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("MICROLENS_RUNS_DIR", str(runs_dir))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["microlens-build", *arguments])
        monkeypatch.setattr(microlens.cli, "collect_seldom", lambda: None)
        with pytest.raises(SystemExit) as end:
            microlens.cli.main()
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, end.value.code, out, err)

    return call


@pytest.fixture
def recipe_file(tmp_path):
    """Writes a recipe of the usual keys, and those given."""

    def write(**keys):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**RECIPE, **keys}), encoding="utf-8")
        return str(path)

    return write
