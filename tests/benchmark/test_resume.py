"""A run is killed, and goes on as if it had not been."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch

from benchmark.checkpoint import read_checkpoint, save_whole
from benchmark.memory import NoMemoryError
from benchmark.recommend import recommend
from benchmark.run import run_benchmark
from microlens.errors import CorruptDataError, MicrolensError
from microlens.locks import exclusive
from tests.download_nodes.small_disk import small_disk

EPOCHS = 8
SETTINGS = {"width": 16, "blocks": 1, "epochs": EPOCHS, "patience": EPOCHS, "batch_size": 32, "threads": 1}
CHOICES = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]


def run(release, out, **choices):
    return run_benchmark(release, ["sasrec"], out=out, device="cpu", **{"overrides": SETTINGS} | choices)


def start(release, out, *more):
    command = [
        sys.executable,
        "-m",
        "microlens.cli",
        "benchmark",
        release,
        "--models",
        "sasrec",
        "--out",
        out,
        "--json",
    ]
    return subprocess.Popen(
        [*map(str, command), *CHOICES, *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def checkpoint_of(out, seed=0):
    (path,) = (out / "models").glob(f"sasrec-{seed}-*.pt")
    return path


def epochs_so_far(out):
    for path in (out / "models").glob("sasrec-0-*.pt"):
        return len(read_checkpoint(path).get("curves", range(EPOCHS)))
    return 0


def kill_after(process, out, epochs):
    while process.poll() is None and epochs_so_far(out) < epochs:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def undisturbed(small_release, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    return out, run(small_release, out)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_bits(small_release, tmp_path, undisturbed, without_clock):
    """Killed with SIGKILL three times, wherever it is: weights, ranks and leaderboard are those of a run in peace."""
    expected_out, expected = undisturbed
    seen = []
    for epochs in (1, 3, 5):
        kill_after(start(small_release, tmp_path), tmp_path, epochs)
        seen.append(epochs_so_far(tmp_path))
    printed, _ = start(small_release, tmp_path).communicate()
    ours, theirs = (read_checkpoint(checkpoint_of(out)) for out in (tmp_path, expected_out))

    assert seen == sorted(seen)
    assert 1 <= seen[0] < EPOCHS
    assert without_clock(expected.rows) == without_clock(orjson.loads(printed)["rows"])
    assert ours["model"].keys() == theirs["model"].keys()
    assert all(torch.equal(ours["model"][name], theirs["model"][name]) for name in ours["model"])
    assert torch.equal(ours["above"], theirs["above"])


@pytest.mark.parametrize(("row_wise", "average_epochs"), [("never", 1), ("always", 1), ("never", 3), ("always", 2)])
def test_training_goes_on_from_any_epoch(small_release, tmp_path, row_wise, average_epochs, without_clock):
    """From the file that each epoch leaves, the run ends in the same leaderboard."""
    overrides = SETTINGS | {"row_wise": row_wise, "average_epochs": average_epochs, "epochs": 4}
    kept = {}

    def keep(event, facts):
        if event == "epoch":
            kept[facts["epoch"]] = checkpoint_of(tmp_path).read_bytes()

    expected = without_clock(run(small_release, tmp_path, overrides=overrides, progress=keep).rows)
    for epoch, content in kept.items():
        checkpoint_of(tmp_path).write_bytes(content)
        heard = []
        rows = run(small_release, tmp_path, overrides=overrides, progress=lambda *told, heard=heard: heard.append(told))

        assert expected == without_clock(rows.rows)
        assert list(range(epoch + 1, 5)) == [facts["epoch"] for event, facts in heard if event == "epoch"]


def test_what_is_finished_is_not_trained_again(small_release, tmp_path, undisturbed):
    """The same inputs give the same rows, seconds included, and nothing is heard but that they are known."""
    out, first = undisturbed
    heard = []
    second = run(small_release, out, progress=lambda event, facts: heard.append(event))

    assert ["model_known"] == heard
    assert first.rows == second.rows
    assert first.to_json() == second.to_json()


@pytest.mark.parametrize("change", [{"overrides": SETTINGS | {"width": 8}}, {"seeds": [1]}])
def test_other_inputs_have_files_of_their_own(small_release, tmp_path, undisturbed, change):
    """Another setting or seed trains from the start and leaves what is there alone."""
    out, _ = undisturbed
    before = {path: path.read_bytes() for path in (out / "models").iterdir()}
    heard = []
    run(small_release, out, progress=lambda *told: heard.append(told), **change)

    assert before.items() <= {path: path.read_bytes() for path in (out / "models").iterdir()}.items()
    assert "model_started" in [event for event, _ in heard]


def test_the_difference_to_another_checkpoint_is_told(small_release, tmp_path):
    """One who changed a setting hears which file is not gone on from, and why."""
    run(small_release, tmp_path)
    heard = []
    run(small_release, tmp_path, overrides=SETTINGS | {"width": 8}, progress=lambda *told: heard.append(told))
    event, facts = heard[0]

    assert "other_checkpoint" == event
    assert ["width 16, now 8"] == facts["differs"]


def test_a_release_that_changed_is_trained_anew(make_world, write_release, tmp_path):
    """The tables' bytes are among the inputs, whatever the release is called."""
    results = []
    for seed in (0, 1):
        release = write_release(tmp_path / str(seed) / "Toy", make_world(seed, users=100))
        results.append(run(release, tmp_path / "out", overrides=SETTINGS | {"epochs": 1}).rows[0])

    assert results[0]["data_sha256"] != results[1]["data_sha256"]
    assert results[0]["hr@10"] != results[1]["hr@10"]


def test_a_damaged_checkpoint_is_named(small_release, tmp_path):
    """It is neither trusted nor thrown away in silence."""
    run(small_release, tmp_path)
    path = checkpoint_of(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(CorruptDataError, match=path.name):
        run(small_release, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", "half"])
def test_a_damaged_checkpoint_of_another_run_stops_none(small_release, tmp_path, content):
    """A new run says which file is most like it, and passes over what it cannot read; that stays where it is."""
    run(small_release, tmp_path)
    whole = checkpoint_of(tmp_path)
    damaged = whole.with_name("sasrec-0-deadbeef.pt")
    damaged.write_bytes(whole.read_bytes()[:1000] if content == "half" else content)
    heard = []
    run(small_release, tmp_path, overrides=SETTINGS | {"width": 8}, progress=lambda *told: heard.append(told))

    assert "other_checkpoint" == heard[0][0]
    assert whole.name == heard[0][1]["file"]
    assert damaged.exists()


def test_a_lack_of_memory_is_no_damage(small_release, tmp_path, monkeypatch):
    """A GPU that cannot take a checkpoint does not have it deleted."""
    run(small_release, tmp_path)

    def load(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(NoMemoryError, match="while reading what is finished: CUDA out of memory"):
        run(small_release, tmp_path)
    with pytest.raises(NoMemoryError, match="while reading the checkpoint") as caught:
        recommend(checkpoint_of(tmp_path))
    assert "--device cpu" in caught.value.hint


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_a_checkpoint_that_would_run_code_is_not_opened(tmp_path, monkeypatch):
    """A pickle that calls a function is refused, and the function is not called."""
    monkeypatch.chdir(tmp_path)
    torch.save({"made_of": {}, "model": Evil()}, tmp_path / "evil.pt")

    with pytest.raises(CorruptDataError, match="more than tensors"):
        read_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "evil").exists()


def test_a_full_disk_is_told_and_costs_one_epoch(small_release, tmp_path, undisturbed, without_clock):
    """Its error is the system's, with the file; the last checkpoint stays, and with space the run ends as ever."""
    _, expected = undisturbed
    with small_disk(tmp_path / "disk", size_bytes=4 << 20) as disk:
        out = disk.folder / "out"
        with pytest.raises(OSError, match="No space left") as full:
            run(small_release, out, progress=lambda event, _: event == "epoch" and disk.fill(but=8192))
        left = [path.name for path in (out / "models").iterdir()]
        told, so_far = full.value, epochs_so_far(out)
        disk.free()

        assert errno.ENOSPC == told.errno
        assert [checkpoint_of(out).name] == left == [Path(told.filename).name]
        assert 1 == so_far
        assert without_clock(expected.rows) == without_clock(run(small_release, out).rows)


def test_an_error_that_is_no_full_disks_stays_what_it_is(tmp_path):
    """Such as of what torch cannot write; nothing half written is left."""
    with pytest.raises(TypeError, match="generator"):
        save_whole({"made_of": (one for one in "ab")}, tmp_path / "odd.pt")

    assert [] == list(tmp_path.iterdir())


def test_two_benchmarks_do_not_write_to_the_same_results(small_release, tmp_path):
    """While another process holds the folder, nothing is trained, and the way out is named."""
    with (
        exclusive(tmp_path / ".lock", MicrolensError("taken")),
        pytest.raises(MicrolensError, match="another") as caught,
    ):
        run(small_release, tmp_path)

    assert "--out" in caught.value.hint


def test_ranks_of_every_user_lie_beside_the_leaderboard(small_release, tmp_path):
    """One file a model and seed, numbers alone: who, how many better items, how many equal ones."""
    board = run(small_release, tmp_path)
    (path,) = (tmp_path / "ranks").iterdir()
    assert checkpoint_of(tmp_path).stem == path.stem
    with np.load(path, allow_pickle=False) as ranks:
        assert list(range(1, 301)) == ranks["user_id"].tolist()
        assert board.ranks["sasrec"].above.tolist() == ranks["above"].tolist()
        assert board.ranks["sasrec"].tied.tolist() == ranks["tied"].tolist()
