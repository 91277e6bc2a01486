"""`extract_features`: rows in the order of ids, each file once, and nothing lost to a broken file or a kill."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from benchmark.data.features import check_features, feature_names, load_feature_ids, load_features
from benchmark.data.release import load_release
from benchmark.data.side import Side
from benchmark.encoders import ENCODERS
from benchmark.features import extract_features, possible_encoders
from benchmark.memory import NoMemoryError
from microlens.errors import CorruptDataError, NotReadyError, RecipeError
from microlens.manifest import verify
from microlens.parts import write_table
from tests.benchmark.tiny import WIDTH, tiny_clip, tiny_text, tiny_videomae
from tests.benchmark.with_media import clip, items_of, release_with_media

CPU = torch.device("cpu")
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return release_with_media(tmp_path_factory.mktemp("built"))


@pytest.fixture
def release(built, tmp_path):
    """A copy of its own for each test."""
    return shutil.copytree(built, tmp_path / "small")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Tiny weights by the encoder's name."""
    folder = tmp_path_factory.mktemp("weights")
    clip_weights = tiny_clip(folder / "clip")
    made = {"videomae": tiny_videomae(folder / "videomae"), "text": tiny_text(folder / "text")}
    return {name: str(path) for name, path in {**made, "clip": clip_weights, "clip-text": clip_weights}.items()}


@pytest.fixture
def extract(release, weights):
    def run(encoder="text", **options):
        return extract_features(
            release, encoder, **{"weights": weights[encoder], "device": "cpu", "processes": 1} | options
        )

    return run


def bytes_of(features):
    return {name: (features.path / name).read_bytes() for name in ("features.npy", "ids.parquet")}


def change_items(release, **columns):
    """Write a release's items anew, with some columns changed."""
    path = release / "data" / "items.parquet"
    table = pq.read_table(path)
    for name, values in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(at, table.field(at), pa.array(values, table.field(at).type))
    write_table(path, table)


@pytest.mark.parametrize("name", ["videomae", "clip", "clip-text", "text"])
def test_row_i_is_item_i_plus_1(release, extract, weights, name):
    """Each row is what the encoder gives of that item's own file or title, and alone."""
    features = extract(name)
    rows = np.load(features.path / "features.npy")
    encoder = ENCODERS[name].load(weights[name], CPU, preprocessing="encoder")[0]
    source = ENCODERS[name].source
    for item in items_of(release):
        one = item["title"] if source == "title" else encoder.read(release / item[f"{source}_path"])
        with torch.inference_mode():
            expected = encoder.encode([one])[0].numpy()
        np.testing.assert_allclose(expected, rows[item["item_id"] - 1], atol=ROUNDING)

    assert (len(items_of(release)), encoder.width) == rows.shape
    assert np.float32 == rows.dtype
    assert len(np.unique(rows.round(4), axis=0)) == len(rows)  # none is like another


def test_features_are_read_with_a_row_for_padding(release, extract):
    """V = items + 1, row 0 is zeros, and items are numbered as the benchmark numbers them."""
    features = extract()
    loaded = load_features(release, "text")

    assert (load_release(release).item_count + 1, WIDTH) == tuple(loaded.shape)
    assert 0 == loaded[0].abs().sum()
    np.testing.assert_array_equal(np.load(features.path / "features.npy"), loaded[1:].numpy())
    assert ["text"] == feature_names(release)
    torch.testing.assert_close(loaded, Side(release).features("text"), atol=0, rtol=0)


def test_the_release_stays_as_it_was(release, extract):
    """Its manifest holds, and lists none of the features, which have one of their own."""
    before = (release / "_manifest.json").read_bytes()
    features = extract()
    told = verify(features.path)

    assert before == (release / "_manifest.json").read_bytes()
    assert "release" == verify(release).stage
    assert {"features.npy", "ids.parquet"} == {output.path for output in told.outputs}
    assert ("text", "float32", [8, WIDTH]) == tuple(told.counters[key] for key in ("encoder", "dtype", "shape"))
    assert re.fullmatch("[0-9a-f]{64}", told.inputs["weights"])
    assert str(release.parent) not in (features.path / "_manifest.json").read_text()  # it may be published
    assert "text" == told.counters["weights"]


def test_ids_of_a_release_with_holes(release, extract):
    """Where items were taken down rows follow the benchmark's numbers, and the map tells whose each is."""
    ids = [3, 4, 9, 10, 11, 20, 21, 40]
    order = np.argsort([row["item_id"] for row in pq.read_table(release / "data/items.parquet").to_pylist()])
    change_items(release, item_id=[ids[place] for place in np.argsort(order)])
    extract()

    assert list(enumerate(ids)) == [
        (row["row"], row["item_id"]) for row in load_feature_ids(release, "text").to_pylist()
    ]
    assert (9, WIDTH) == tuple(load_features(release, "text").shape)


def test_the_same_again_is_no_work(extract):
    """The same command on finished features changes nothing; other settings make them anew."""
    first = extract()
    stamp = (first.path / "features.npy").stat().st_mtime_ns
    second = extract()

    assert (True, False) == (first.is_new, second.is_new)
    assert stamp == (second.path / "features.npy").stat().st_mtime_ns
    assert extract(preprocessing="paper").is_new


def test_two_runs_give_the_same_bytes(release, extract):
    """Nothing of the clock or the machine is in the numbers or the map."""
    first = bytes_of(extract("clip"))
    shutil.rmtree(release / "features")

    assert first == bytes_of(extract("clip"))


@pytest.mark.parametrize("name", ["clip", "text"])
def test_a_batch_is_as_good_as_another(extract, name):
    """Batches of 3 and 8 differ by rounding alone, about 1e-6; so do threads."""
    made = [extract(name, batch=batch, name=f"of-{batch}") for batch in (3, 8)]
    made.append(extract(name, threads=1, name="one-thread"))
    rows = [np.load(features.path / "features.npy") for features in made]

    for other in rows[1:]:
        np.testing.assert_allclose(rows[0], other, atol=ROUNDING)


def test_the_caller_keeps_its_threads(extract):
    """They are set for the length of the work."""
    before = torch.get_num_threads()
    extract(threads=before + 1)

    assert before == torch.get_num_threads()


def test_the_same_file_is_encoded_once(release, extract):
    """Items that share a file, or a title, share its vector."""
    items = items_of(release)
    shas = [items[0]["cover_sha256"]] * 3 + [item["cover_sha256"] for item in items[3:]]
    by_id = {item["item_id"]: sha for item, sha in zip(items, shas, strict=True)}
    ids = [row["item_id"] for row in pq.read_table(release / "data/items.parquet").to_pylist()]
    change_items(release, cover_sha256=[by_id[item_id] for item_id in ids], title=["one title"] * len(ids))
    covers, titles = extract("clip"), extract("text")
    rows = np.load(covers.path / "features.npy")

    assert (6, 1) == (covers.facts["distinct_inputs"], titles.facts["distinct_inputs"])
    np.testing.assert_array_equal(rows[0], rows[2])
    assert not np.allclose(rows[0], rows[3])


def test_a_broken_file_costs_its_item(release, extract):
    """It is named, has a row of zeros, and the others are as they would be without it."""
    whole = np.load(extract("videomae", name="whole").path / "features.npy")
    items = items_of(release)
    (release / items[2]["video_path"]).write_bytes(clip(7)[:700])
    (release / items[5]["video_path"]).unlink()
    features = extract("videomae")
    rows, good = np.load(features.path / "features.npy"), [0, 1, 3, 4, 6, 7]
    ids = load_feature_ids(release, "videomae").to_pylist()

    assert [{"item_id": 3, "reason": "broken"}, {"item_id": 6, "reason": "missing_file"}] == features.broken
    assert [row["row"] for row in ids if row["has_feature"]] == good
    assert 0 == np.abs(rows[[2, 5]]).sum()
    np.testing.assert_allclose(whole[good], rows[good], atol=ROUNDING)
    assert (6, 2) == (features.facts["items_with_feature"], features.facts["broken_inputs"])
    with pytest.raises(CorruptDataError, match=r"2 of 8 .*item 3 \(broken\), item 6 \(missing_file\)"):
        features.refuse_broken()


def test_items_without_a_file_are_no_fault(release, extract):
    """They have zeros as well, with a word of their own, and nothing is refused for them."""
    paths = [row["cover_path"] for row in pq.read_table(release / "data/items.parquet").to_pylist()]
    change_items(release, cover_path=[None, *paths[1:]], title=["  "] + [f"title {n}" for n in range(7)])
    covers, titles = extract("clip"), extract("text")

    for features, reason in ((covers, "no_cover_file"), (titles, "no_title")):
        told = pq.read_table(features.path / "ids.parquet")["reason"].to_pylist()

        assert [reason] == [word for word in told if word]
        features.refuse_broken()


def test_a_release_without_media_has_titles(release, extract):
    """Only the encoders that find something are proposed; another is refused with the reason."""
    assert ["videomae", "clip", "text"] == possible_encoders(release)
    change_items(release, video_path=[None] * 8, cover_path=[None] * 8)

    assert ["text"] == possible_encoders(release)
    with pytest.raises(NotReadyError, match="has a video, which videomae takes") as caught:
        extract("videomae")

    assert caught.value.hint.endswith("--encoder: text")
    assert not list(release.glob("features/.*"))


def test_half_precision_is_half_the_bytes(release, extract):
    """Kept as float16, read as float32, and near."""
    whole, half = extract(), extract(name="half", dtype="float16")

    assert np.float16 == np.load(half.path / "features.npy").dtype
    assert torch.float32 == load_features(release, "half").dtype
    torch.testing.assert_close(load_features(release, whole.name), load_features(release, "half"), atol=1e-3, rtol=0)


@pytest.mark.parametrize("path", ["/etc/passwd", "media/../../../etc/passwd"])
def test_no_file_outside_of_the_release_is_read(release, extract, path):
    """A table of items that names one is refused as a whole."""
    change_items(release, cover_path=[path] + [None] * 7)
    with pytest.raises(CorruptDataError, match="outside of the release"):
        extract()


def test_features_that_are_not_there_name_the_command(release):
    """Of this release, with this encoder."""
    with pytest.raises(NotReadyError, match=r"no features 'videomae' \(it has: none\)") as caught:
        load_features(release, "videomae")

    assert f"microlens-build features {release} --encoder videomae" in caught.value.hint


def test_features_of_another_release_are_refused(release, extract):
    """By the table of items: its ids, titles and files."""
    extract()
    change_items(release, title=["another"] * 8)
    with pytest.raises(NotReadyError, match="made of another release") as caught:
        load_features(release, "text")

    assert "--encoder text" in caught.value.hint
    assert extract().is_new
    assert 9 == len(load_features(release, "text"))


def test_changed_features_are_refused(release, extract):
    """One byte is enough; made again they are whole."""
    path = extract().path / "features.npy"
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)
    with pytest.raises(CorruptDataError, match=re.escape("features.npy")):
        check_features(release, "text")

    assert extract().is_new
    assert check_features(release, "text")


def test_two_processes_do_not_make_the_same(release, extract):
    """The second is told that there is a first."""
    from benchmark.data.feature_draft import one_maker

    with one_maker(release / "features" / "text"), pytest.raises(RecipeError, match="another process is making"):
        extract()


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"encoder": "videoame"}, "no encoder 'videoame'", "did you mean 'videomae'"),
        ({"preprocessing": "papr"}, "'papr'", "did you mean 'paper'"),
        ({"dtype": "float23"}, "'float23'", "did you mean 'float32'"),
        ({"name": "../out"}, "'../out' cannot name features", "letters"),
        ({"device": "gpu"}, "'gpu'", "cpu"),
    ],
)
def test_what_cannot_be_used_is_named(release, options, words, hint):
    """With the nearest that can, before any weights are read."""
    with pytest.raises(RecipeError, match=re.escape(words)) as caught:
        extract_features(release, **{"encoder": "clip", "weights": "nowhere"} | options)

    assert hint in caught.value.hint


def test_a_batch_too_large_names_the_setting(release, extract, monkeypatch):
    """Out of memory is no bug: what is done stays, and a smaller batch goes on from there."""
    from benchmark.encoders.clip import CLIPCovers

    encode, seen = CLIPCovers.encode, []

    def with_little_memory(self, covers):
        if len(covers) + sum(seen) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        seen.append(len(covers))
        return encode(self, covers)

    monkeypatch.setattr(CLIPCovers, "encode", with_little_memory)
    with pytest.raises(NoMemoryError, match="out of memory while encoding a batch of 3: CUDA out of memory") as caught:
        extract("clip", batch=3)
    monkeypatch.setattr(CLIPCovers, "encode", lambda self, covers: seen.append(len(covers)) or encode(self, covers))

    assert "lower --batch, to 1 for example" in caught.value.hint
    assert extract("clip", batch=1).is_new
    assert [3, 1, 1, 1, 1, 1] == seen


def test_weights_that_give_no_numbers_are_refused(release, tmp_path):
    """Features that are not finite would poison a model in silence."""
    from safetensors.torch import load_file, save_file

    folder = tiny_clip(tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    tensors["visual_projection.weight"][0] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RecipeError, match="not finite"):
        extract_features(release, "clip", weights=str(folder), device="cpu")


# A process that makes features one video at a time, and waits in the midst of one of them.
_SLOW = """
    import sys, time
    from pathlib import Path

    def main(release, weights, stops_at):
        from benchmark.encoders import videomae
        from benchmark.features import extract_features

        class Slow(videomae.VideoMAE):
            seen = 0

            def encode(self, clips):
                Slow.seen += 1
                if Slow.seen == int(stops_at):
                    print("waiting", flush=True)
                    time.sleep(60)
                return super().encode(clips)

        videomae.VideoMAE = Slow
        extract_features(Path(release), "videomae", weights=weights, device="cpu", batch=2, threads=1)

    if __name__ == "__main__":  # the processes that decode read this file, too
        main(*sys.argv[1:])
"""


def test_a_killed_one_goes_on_to_the_same_bytes(release, weights, tmp_path):
    """SIGKILL after two of four batches: the next process makes the other two, and all is as if nothing had been."""
    (release / items_of(release)[1]["video_path"]).write_bytes(b"broken")
    script = tmp_path / "slow.py"
    script.write_text(textwrap.dedent(_SLOW))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(release), weights["videomae"], "3"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as slow:
        assert b"waiting\n" == slow.stdout.readline()
        children = _children_of(slow.pid)
        slow.send_signal(signal.SIGKILL)

    assert not (release / "features" / "videomae").exists()
    told = []
    features = extract_features(
        release, "videomae", weights=weights["videomae"], device="cpu", batch=2, threads=1, progress=told.append
    )
    resumed = bytes_of(features)
    shutil.rmtree(release / "features")
    fresh = extract_features(release, "videomae", weights=weights["videomae"], device="cpu", batch=2, threads=1)

    assert [6, 8] == [facts["done"] for facts in told]
    assert [{"item_id": 2, "reason": "unknown_type"}] == features.broken
    assert bytes_of(fresh) == resumed
    assert children
    assert _all_gone(children)


def _children_of(pid):
    done = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def _all_gone(pids, within_s=10):
    """Whether the processes that decode have ended with their parent."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_frames_and_pixels_by_recipe(extract):
    """What is done to an input stands in the manifest: the encoder's own way, and the paper's."""
    own, paper = (
        extract("videomae", preprocessing=how, name=how).facts["done_to_inputs"] for how in ("encoder", "paper")
    )

    assert (4, 1) == (own["stride"], paper["stride"])
    assert (36, None) == (own["pixels"]["framing"]["shortest"], paper["pixels"]["framing"]["shortest"])
    assert [0.5] * 3 == paper["pixels"]["mean"] == paper["pixels"]["std"]
