from benchmark import progress
from benchmark.progress import counted
from benchmark.run import run_benchmark

QUICK = {"width": 16, "blocks": 1, "epochs": 2, "batch_size": 64, "threads": 1, "chunk_scores": 20_000}


def test_a_short_loop_says_nothing():
    """What takes less than a second is passed on, and not told."""
    told = []

    assert [1, 2, 3] == list(counted([1, 2, 3], 3, lambda *facts: told.append(facts)))
    assert [] == told


def test_a_long_loop_is_told_once_a_second(monkeypatch):
    """Steps of 0.4 seconds are told when the third, the sixth and the ninth are done."""
    clock = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    told = []
    for _ in counted(range(10), 10, lambda *facts: told.append(facts)):
        clock[0] += 0.4

    assert [(3, 10), (6, 10), (9, 10)] == told


def test_a_run_tells_where_its_epochs_are(small_release, monkeypatch):
    """Every step of the validation before, of training, of validation and of the test has its number and model."""
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    heard = []
    run_benchmark(
        small_release,
        ["sasrec", "bert4rec", "lightgcn"],
        overrides=QUICK,
        device="cpu",
        progress=lambda *told: heard.append(told),
    )
    for model in ("sasrec", "bert4rec", "lightgcn"):
        steps = [facts for event, facts in heard if event == "step" and facts["model"] == model]
        told = [(one.get("epoch"), one["doing"]) for one in steps]

        assert [
            (0, "validation"),
            (1, "training"),
            (1, "validation"),
            (2, "training"),
            (2, "validation"),
            (None, "test"),
        ] == list(dict.fromkeys(told))
        for where in told:
            done = [one["done"] for one in steps if (one.get("epoch"), one["doing"]) == where]
            of = {one["of"] for one in steps if (one.get("epoch"), one["doing"]) == where}
            assert list(range(1, len(done) + 1)) == done
            assert {len(done)} == of
