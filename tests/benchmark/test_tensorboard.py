"""Curves for TensorBoard, where it is installed. `make test` does not install it: it brings gRPC along."""

import subprocess
import sys
from importlib.util import find_spec

import orjson
import pytest

SETTINGS = {"width": 8, "blocks": 1, "epochs": 2, "patience": 2, "batch_size": 64, "threads": 1}


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="TensorBoard is not installed: pip install tensorboard")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TensorBoard's own
def test_tensorboard_shows_the_curves_of_every_model_and_seed(small_release, tmp_path):
    """A run each, a point an epoch: losses, validation metrics and seconds are those of the leaderboard."""
    changes = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "microlens.cli", "benchmark", small_release, "--models", "sasrec,dssm"]
    command += ["--seeds", "0,1", "--out", tmp_path / "out", "--tensorboard", tmp_path / "curves", "--json", *changes]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, check=True)
    runs = {
        f"{row['model']}-{run['seed']}": run["curves"]
        for row in orjson.loads(done.stdout)["rows"]
        for run in row["runs"]
    }

    assert ["dssm-0", "dssm-1", "sasrec-0", "sasrec-1"] == sorted(runs)
    assert sorted(runs) == sorted(path.name for path in (tmp_path / "curves").iterdir())
    for name, curves in runs.items():
        assert 2 == len(curves)
        assert _told(curves) == _shown(tmp_path / "curves" / name)


def _told(curves):
    """Points (epoch, value) by name, as a leaderboard has them."""
    return {
        name: [(epoch, pytest.approx(one[name])) for epoch, one in enumerate(curves, 1)]  # float32 in an event file
        for name in curves[0]
    }


def _shown(folder):
    """The same, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    # `best_epoch` is beside the curves of a leaderboard, not in them.
    return {
        name: [(one.step, one.value) for one in events.Scalars(name)]
        for name in events.Tags()["scalars"]
        if name != "best_epoch"
    }
