"""A search on validation: what it chooses, what it leaves behind, and what it survives."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
import yaml

from benchmark.data.release import load_release
from benchmark.data.side import Side
from benchmark.data.split import leave_one_out
from benchmark.device import find_device
from benchmark.memory import NoMemoryError
from benchmark.protocol import Protocol
from benchmark.provenance import made_of
from benchmark.run import run_benchmark
from benchmark.settings import Settings
from benchmark.tune import tune
from benchmark.tuning.processes import DEATHS, Processes
from benchmark.tuning.questions import read_questions, write_questions
from benchmark.tuning.worker import Leg, _curves_so_far
from microlens.errors import DiskFullError, MicrolensError, NotReadyError, RecipeError
from microlens.locks import exclusive
from tests.benchmark.with_media import release_with_media
from tests.download_nodes.small_disk import small_disk

FIXED = {"blocks": 1, "epochs": 9, "batch_size": 64}
GRID = {"learning_rate": (1e-5, 1e-3, 4e-3), "width": (8, 16)}
TYPED = ["--try", "learning_rate=1e-5,1e-3,4e-3", "--try", "width=8,16"]


def search(release, out, models=("sasrec",), **choices):
    return tune(release, models, out, **{"overrides": FIXED, "grid": GRID, "processes": 2, "device": "cpu"} | choices)


@pytest.fixture(scope="module")
def undisturbed(small_release, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    return out, search(small_release, out)


def test_the_best_on_validation_is_chosen(small_release, undisturbed):
    """All six are told, the best first; the chosen one has the curve that a benchmark of its settings has."""
    _, found = undisturbed
    states = [row["state"] for row in found.rows]
    chosen = found.rows[0]
    bench = run_benchmark(
        small_release, ["sasrec"], device="cpu", overrides=FIXED | chosen["settings"] | {"threads": 1}
    ).rows[0]["runs"][0]

    assert 6 == len(found.rows)
    assert "chosen" == states[0]
    assert ["stopped"] * 4 == [state for state in states if state == "stopped"]
    assert max(row["ndcg@10"] for row in found.rows) == chosen["ndcg@10"]
    assert max(epoch["ndcg@10"] for epoch in bench["curves"]) == chosen["ndcg@10"]
    assert chosen["epochs"] == bench["epochs"]


def test_the_hopeless_are_stopped(undisturbed):
    """A learning rate of 1e-5 has three epochs, and no more."""
    _, found = undisturbed
    slow = [row for row in found.rows if row["settings"]["learning_rate"] == 1e-5]

    assert [("stopped", 3)] * 2 == [(row["state"], row["epochs"]) for row in slow]


def test_one_process_comes_to_the_same_as_two(small_release, tmp_path, undisturbed, without_clock):
    """Table and chosen settings do not depend on how many are at work."""
    _, expected = undisturbed
    found = search(small_release, tmp_path, processes=1)

    assert without_clock(expected.rows) == without_clock(found.rows)
    assert expected.to_yaml() == found.to_yaml()


def test_the_same_call_again_trains_nothing(small_release, undisturbed):
    """All is known from the records, seconds included; the files are the same."""
    out, expected = undisturbed
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    heard = []
    found = search(small_release, out, progress=lambda event, facts: heard.append(event))

    assert ["known"] == heard
    assert expected.rows == found.rows
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_nothing_is_left_but_results_and_records(undisturbed):
    """Checkpoints and questions, which are large, are gone in the end."""
    out, _ = undisturbed

    assert [".lock", "configurations", "configurations.json", "configurations.md", "models", "tuned.yaml"] == sorted(
        path.name for path in out.iterdir()
    )
    assert 6 == len(list((out / "configurations").iterdir()))
    assert [] == list((out / "models").iterdir())


def test_workers_that_are_killed_cost_an_epoch(small_release, tmp_path, undisturbed, without_clock):
    """SIGKILL to all that are at work, then to the server that forks them: others go on, and the table is the same."""
    _, expected = undisturbed
    killed = []

    def kill(event, facts):
        if event != "epoch" or len(killed) == 2:
            return
        workers = [process.pid for process in multiprocessing.active_children()]
        killed.append([forkserver._forkserver._forkserver_pid] if killed else workers)
        for pid in killed[-1]:
            os.kill(pid, signal.SIGKILL)

    found = search(small_release, tmp_path, progress=kill)

    assert [True, True] == [bool(pids) for pids in killed]
    assert without_clock(expected.rows) == without_clock(found.rows)


def start(release, out):
    settings = [part for name, value in FIXED.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "microlens.cli", "tune", release, "--models", "sasrec", *settings, *TYPED]
    more = ["-n", "2", "--device", "cpu", "--out", out, "--json"]
    return subprocess.Popen(
        [str(part) for part in (*command, *more)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def records_so_far(out):
    return len(records_in(out))


def records_in(out):
    return list((out / "configurations").glob("*.json"))


def written_so_far(out):
    return {path.name: path.stat().st_size for path in (out / "configurations").glob("*.json")}


def stop_with(end, process, out):
    """As soon as it has written down an epoch of its own."""
    before = written_so_far(out)
    while process.poll() is None and written_so_far(out) == before:
        time.sleep(0.01)
    process.send_signal(end)
    process.communicate(timeout=60)
    return process.returncode


def living(pids):
    """Those that still run, of processes by number; one that nobody has buried does not."""
    return [pid for pid in pids if stat_of(pid)[:1] not in ([], ["Z"])]


def stat_of(pid):
    """State and parent of a process, and more; nothing of one that is gone."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def descendants(pid):
    everyone = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    children = [one for one in everyone if stat_of(one)[1:2] == [str(pid)]]
    return [*children, *(far for one in children for far in descendants(one))]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks for processes in /proc")
def test_workers_end_with_a_command_that_is_killed(small_release, tmp_path):
    """SIGKILL leaves it no time to end them: they end by themselves, in the midst of an epoch."""
    process = start(small_release, tmp_path)
    while not records_so_far(tmp_path):
        time.sleep(0.01)
    started = descendants(process.pid)
    process.kill()
    process.communicate()

    assert len(started) >= 2
    while living(started):
        time.sleep(0.01)


@pytest.mark.slow
def test_a_search_that_is_killed_or_interrupted_goes_on(small_release, tmp_path, undisturbed, without_clock):
    """SIGKILL, then Ctrl-C, to the command itself: the same command ends in the same table and preset."""
    expected_out, expected = undisturbed
    killed = stop_with(signal.SIGKILL, start(small_release, tmp_path), tmp_path)
    seen = records_so_far(tmp_path)
    interrupted = stop_with(signal.SIGINT, start(small_release, tmp_path), tmp_path)
    printed, _ = start(small_release, tmp_path).communicate()
    told = orjson.loads(printed)

    assert (-signal.SIGKILL, 130) == (killed, interrupted)
    assert seen < 6
    assert without_clock(expected.rows) == without_clock(told["configurations"])
    assert {"sasrec": 6} == told["tried"]
    assert (expected_out / "tuned.yaml").read_text() == (tmp_path / "tuned.yaml").read_text()


def test_no_worker_outlives_its_search(small_release, tmp_path):
    """Whatever ends the call ends all processes that it started, in the midst of an epoch."""

    def stop(event, facts):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(small_release, tmp_path, progress=stop)

    assert [] == multiprocessing.active_children()


def test_trouble_is_recorded_and_costs_one_configuration(small_release, tmp_path):
    """One diverges, one wants a table of petabytes, one has heads that do not fit: the fourth is chosen."""
    grid = {"learning_rate": (1e-3, 1e30), "width": (8, 9, 10**12)}
    found = search(small_release, tmp_path, grid=grid, overrides=FIXED | {"epochs": 2})
    told = {(row["settings"]["learning_rate"], row["settings"]["width"]): row["state"] for row in found.rows}

    assert "chosen" == told[1e-3, 8]
    assert "diverged" == told[1e30, 8]
    assert {"out_of_memory"} == {told[1e-3, 10**12], told[1e30, 10**12]}
    assert {"failed"} == {told[1e-3, 9], told[1e30, 9]}
    assert "learning_rate=1e+30" in (tmp_path / "configurations.md").read_text()


def test_a_full_disk_ends_the_search(small_release, tmp_path, undisturbed, without_clock):
    """No configuration is to blame: with space the same command ends in the same table."""
    _, expected = undisturbed
    filled = []
    with small_disk(tmp_path / "disk", size_bytes=4 << 20) as disk:

        def fill(event, facts):
            if event == "epoch" and not filled:
                filled.append(disk.fill(but=16384))  # records find room, checkpoints do not

        with pytest.raises(DiskFullError, match="nothing more can be written"):
            search(small_release, disk.folder / "out", progress=fill)
        troubles = {orjson.loads(path.read_bytes())["record"]["trouble"] for path in records_in(disk.folder / "out")}
        disk.free()

        assert {""} == troubles
        assert without_clock(expected.rows) == without_clock(search(small_release, disk.folder / "out").rows)


def test_a_full_disk_is_told_before_the_first_epoch_too(small_release, tmp_path):
    """Where what workers are to read finds no room."""
    with (
        small_disk(tmp_path / "disk", size_bytes=64 << 10) as disk,
        pytest.raises(OSError, match="No space left") as full,
    ):
        search(small_release, disk.folder / "out")

    assert (errno.ENOSPC, "questions-13.pt") == (full.value.errno, Path(full.value.filename).name)


def test_what_killed_writers_left_is_removed_and_nothing_else(small_release, tmp_path):
    """Half-written files of a search, by their names; files and folders of others that end alike stay."""
    ours = ["models/sasrec-0-1a2b3c4d.tmp", "configurations/.sasrec_id_v-0-1a2b3c4d.json.4711.tmp", "questions-13.tmp"]
    theirs = ["thesis/chapter.tmp", "chapter.tmp", "models/chapter.tmp", "Toy/models/sasrec-0-1a2b3c4d.tmp"]
    for name in (*ours, *theirs):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("half")
    (tmp_path / "a.tmp").mkdir()
    (tmp_path / "models" / "gru4rec-1-00000000.tmp").mkdir()
    search(small_release, tmp_path, ["popularity"], grid={"keep_interactions": (13,)}, overrides={})

    assert [] == [name for name in ours if (tmp_path / name).exists()]
    assert theirs == [name for name in theirs if (tmp_path / name).read_text() == "half"]
    assert (tmp_path / "a.tmp").is_dir()


def leg_of(release, out, **changes):
    settings = Settings(**{**FIXED, "width": 8, "threads": 1, "epochs": 300, "patience": 300} | changes)
    split = leave_one_out(load_release(release), keep=settings.keep_interactions)
    write_questions(split, out / "questions.pt")
    made = made_of("sasrec", 0, settings, release, find_device("cpu"))
    return Leg("sasrec", settings, 0, 300, out / "questions.pt", Side(release), out, made)


def test_a_process_that_dies_again_and_again_is_given_up(small_release, tmp_path):
    """After the third death without an epoch in between; its signal stands in the record."""
    leg = leg_of(small_release, tmp_path)
    with Processes(1, ["cpu"]) as at_work:
        for _ in range(DEATHS):
            assert "" == leg.record.read().trouble
            at_work.start(leg)
            at_work._running[0].process.kill()
            while not at_work.wait(1):
                pass

    assert "killed" == leg.record.read().trouble
    assert "SIGKILL" in leg.record.read().message


def test_what_a_checkpoint_knows_and_the_record_does_not_is_taken_over(small_release, tmp_path):
    """A process may be killed between the two: the next one goes on with the epoch after, and tells of both."""
    leg = leg_of(small_release, tmp_path, epochs=2)
    with Processes(1, ["cpu"]) as at_work:
        at_work.start(leg)
        while not at_work.wait(1):
            pass
    whole = leg.record.read()
    leg.record.write(replace(whole, curves=whole.curves[:1], is_over=False))

    assert whole.curves == _curves_so_far(leg, leg.record.read())
    assert whole.curves == leg.record.read().curves


def test_a_server_that_was_killed_is_started_again(small_release, tmp_path):
    """At once, while the system has hardly noticed: the next process starts all the same."""
    leg = leg_of(small_release, tmp_path, epochs=1)
    with Processes(1, ["cpu"]) as at_work:
        forkserver.ensure_running()
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        at_work.start(leg)
        while not at_work.wait(1):
            pass

    assert leg.record.read().is_over


def test_a_file_of_questions_holds_no_test(make_world, tmp_path):
    """Of two worlds that differ in every test item alone the files are the same, and what is read asks nobody."""
    world = make_world(users=100)
    last = np.append(np.flatnonzero(np.diff(world.user)), len(world.user) - 1)
    other = type(world)(**vars(world) | {"item": world.item.copy()})
    other.item[last] = world.item[last] % world.item_count + 1
    files = []
    for number, one in enumerate((world, other)):
        (tmp_path / str(number)).mkdir()
        files.append(tmp_path / str(number) / "questions.pt")
        write_questions(leave_one_out(one), files[-1])
    split, read = leave_one_out(world), read_questions(files[0], torch.device("cpu"))

    assert (world.item != other.item).sum() == len(split.test.users)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert 0 == len(read.test.users) == len(read.test.target) == len(read.test.history)
    for name in ("users", "history", "target"):
        assert torch.equal(getattr(split.validation, name), getattr(read.validation, name))
    assert torch.equal(split.train, read.train)
    assert torch.equal(split.pairs, read.pairs)


def test_the_test_items_do_not_matter(make_world, write_release, tmp_path, without_clock):
    """Whatever everyone's last item is, a search finds the same, metric by metric."""
    world = make_world(users=150)
    last = np.append(np.flatnonzero(np.diff(world.user)), len(world.user) - 1)
    found = []
    for shift in (0, 1):
        item = world.item.copy()
        item[last] = (item[last] - 1 + shift) % world.item_count + 1
        release = write_release(tmp_path / str(shift) / "Toy", type(world)(**vars(world) | {"item": item}))
        found.append(search(release, tmp_path / f"out-{shift}", grid={"width": (8, 16)}))

    assert without_clock(found[0].rows) == without_clock(found[1].rows)
    assert found[0].facts["data_sha256"] != found[1].facts["data_sha256"]


def test_workers_need_no_interactions(small_release, make_world, write_release, tmp_path):
    """What a worker is given suffices: the release's own rows can be gone by then."""
    release = write_release(tmp_path / "Toy", make_world(users=100))
    leg = leg_of(release, tmp_path, epochs=1)
    (release / "data" / "interactions.parquet").unlink()
    with Processes(1, ["cpu"]) as at_work:
        at_work.start(leg)
        while not at_work.wait(1):
            pass

    assert leg.record.read().is_over
    assert "" == leg.record.read().message


def test_the_preset_feeds_a_benchmark_which_tells_the_number(small_release, tmp_path, undisturbed):
    """The row of what was tuned has 6, others 0; the file's name and hash stand in the leaderboard."""
    out, found = undisturbed
    board = run_benchmark(
        small_release,
        ["popularity", "sasrec"],
        preset=str(out / "tuned.yaml"),
        out=tmp_path,
        device="cpu",
        overrides={"threads": 1},
    )
    rows = {row["model"]: row for row in board.rows}
    header, _, *lines = (tmp_path / "leaderboard.md").read_text(encoding="utf-8").splitlines()[2:6]
    place = header.split(" | ").index("tried")

    assert {"popularity": 0, "sasrec": 6} == {name: row["configurations_tried"] for name, row in rows.items()}
    assert {"0", "6"} == {line.split(" | ")[place] for line in lines}
    assert found.rows[0]["settings"].items() <= rows["sasrec"]["settings"].items()
    assert "tuned.yaml" == board.settings["preset"]
    assert 64 == len(board.settings["preset_sha256"])


def test_a_search_leaves_a_benchmarks_files_alone(small_release, tmp_path):
    """In the same folder, with the same settings: checkpoints of both are told apart."""
    settings = FIXED | {"epochs": 1, "threads": 1}
    run_benchmark(small_release, ["sasrec"], out=tmp_path, device="cpu", overrides=settings | {"width": 8})
    before = {path: path.read_bytes() for path in (tmp_path / "models").iterdir()}
    search(small_release, tmp_path, grid={"width": (8,)}, overrides=settings)

    assert 1 == len(before)
    assert before == {path: path.read_bytes() for path in (tmp_path / "models").iterdir()}


def test_a_search_that_begins_at_another_adds_to_its_number(small_release, tmp_path, undisturbed):
    """What was tried before counts on; the file that is begun at is not written over."""
    out, _ = undisturbed
    base = str(out / "tuned.yaml")
    found = search(small_release, tmp_path, preset=base, overrides={}, grid={"dropout": (0.0, 0.2), "epochs": (1,)})

    assert {"sasrec": 8} == yaml.safe_load((tmp_path / "tuned.yaml").read_text())["tried"]
    assert 2 == len(found.rows)
    with pytest.raises(RecipeError, match="written over"):
        search(small_release, out, preset=base)


def test_a_search_asks_as_the_benchmark_will(small_release, tmp_path):
    """Of warm items alone: the curve is that of a benchmark under the same protocol, and the preset says which."""
    protocol = Protocol(warm=10)
    choices = {"overrides": FIXED | {"epochs": 2}, "grid": {"width": (8,)}, "protocol": protocol}
    [row] = search(small_release, tmp_path, **choices).rows
    settings = FIXED | {"epochs": 2, "width": 8, "threads": 1}
    bench = run_benchmark(small_release, ["sasrec"], device="cpu", overrides=settings, protocol=protocol).rows[0]

    assert max(epoch["ndcg@10"] for epoch in bench["runs"][0]["curves"]) == row["ndcg@10"]
    assert protocol.facts() == yaml.safe_load((tmp_path / "tuned.yaml").read_text())["search"]["protocol"]


def test_models_without_epochs_are_tuned_too(small_release, tmp_path):
    """EASE is solved once a setting, and asked once."""
    found = search(small_release, tmp_path, ["ease"], grid={"ridge": (1, 100, 10_000)}, overrides={})

    assert ["chosen", "finished", "finished"] == [row["state"] for row in found.rows]
    assert found.rows[0]["ndcg@10"] > found.rows[2]["ndcg@10"]


def test_a_model_of_which_nothing_can_be_trained_is_told(small_release, tmp_path):
    """The others' table and preset are written first; here heads do not fit the width, which EASE does not ask."""
    fixed, grid = {"epochs": 1, "width": 9}, {"ridge": (1, 2), "heads": (2,)}
    with pytest.raises(MicrolensError, match="no configuration of sasrec came to a result"):
        search(small_release, tmp_path, ["ease", "sasrec"], grid=grid, overrides=fixed)

    assert {"ease", "sasrec"} == {one["model"] for one in read_json(tmp_path)["configurations"]}
    assert ["ease"] == list(read_json(tmp_path)["chosen"])


def test_features_that_are_not_there_are_told_before_anything_is_trained(tmp_path):
    """With the command that makes them; hours would have gone into the other model first."""
    release, out = release_with_media(tmp_path / "built"), tmp_path / "out"
    with pytest.raises(NotReadyError, match="no features 'videomae'") as caught:
        search(release, out, ["sasrec", "sasrec_id_v"])

    assert f"microlens-build features {release}" in caught.value.hint
    assert not list(out.glob("configurations/*"))


def read_json(out):
    return orjson.loads((out / "configurations.json").read_bytes())


def test_a_split_without_room_is_told(small_release, tmp_path):
    """Histories that no machine holds: before any configuration is trained."""
    with pytest.raises(NoMemoryError, match="reading and splitting the release"):
        search(small_release, tmp_path, overrides=FIXED | {"keep_interactions": 10**12})


def test_two_searches_do_not_work_in_one_folder(small_release, tmp_path):
    """The second is refused, with the way out."""
    with (
        exclusive(tmp_path / ".lock", MicrolensError("taken")),
        pytest.raises(MicrolensError, match="another") as caught,
    ):
        search(small_release, tmp_path)

    assert "--out" in caught.value.hint


@pytest.mark.parametrize("models", [["sasrek"], []])
def test_models_are_named(small_release, tmp_path, models):
    """An unknown one with the nearest, none with all of them; nothing is written."""
    with pytest.raises(RecipeError) as caught:
        search(small_release, tmp_path / "new", models)

    assert "sasrec" in caught.value.hint
    assert not (tmp_path / "new").exists()


def test_what_is_no_release_is_told(tmp_path):
    """As the benchmark tells it."""
    with pytest.raises(NotReadyError, match="no finished release"):
        search(tmp_path / "nowhere", tmp_path / "out")
