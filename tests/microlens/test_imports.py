"""What is imported when: a small import stays small."""

import json
import subprocess
import sys

import pytest

STAGES = {
    "scrapy",
    "twisted",
    "duckdb",
    "torch",
    "aiohttp",
    "av",
    "cv2",
    "obstore",
    "pyarrow",
    "rq",
    "crawler",
    "integration",
}


def loaded_after(code):
    """Top-level packages that a fresh interpreter has loaded after some code."""
    told = f"{code}\nimport json, sys; print(json.dumps(sorted(n for n in sys.modules if '.' not in n)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_microlens_loads_nothing_large():
    """`import microlens` loads neither Arrow nor torch nor anything else of a stage: public names come on first use."""
    loaded = loaded_after("import microlens; microlens.__version__")

    assert set() == loaded & (STAGES | {"numpy", "redis", "sqlalchemy", "pydantic", "typer"})


def test_the_loader_needs_no_stage():
    """A user of a release needs Arrow, and neither torch nor Redis nor SQL."""
    loaded = loaded_after("import microlens; microlens.load")

    assert "pyarrow" in loaded
    assert set() == loaded & {"torch", "scrapy", "duckdb", "aiohttp", "redis", "sqlalchemy"}


@pytest.mark.parametrize(
    "code",
    [
        "import microlens.cli",
        "import sys; sys.argv = ['microlens-build', '--help']\nfrom microlens.cli import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code",
    ],
    ids=["import", "help"],
)
def test_the_command_line_loads_no_stage(code):
    """`microlens-build --help` answers without importing a stage or what a stage stands on."""
    assert set() == loaded_after(code) & STAGES


def test_spelling_addresses_needs_no_ytdlp():
    """yt-dlp is imported when something is asked for, not with its platform, and for no other one."""
    load = "from microlens.platforms import load_platform; load_platform"

    assert "yt_dlp" not in loaded_after(f"{load}('ytdlp').home_url('https://a.example/c', 0)")
    assert "yt_dlp" not in loaded_after(f"{load}('peertube')")
