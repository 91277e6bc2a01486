"""What tests have each rank of a group do (tests.benchmark.ranks); each gives what can be pickled."""

import time
from pathlib import Path

import torch

from benchmark import parallel
from benchmark.data.release import load_release
from benchmark.data.split import leave_one_out
from benchmark.evaluate import evaluate, evaluate_and_list
from benchmark.models import MODELS
from benchmark.models.popularity import Popularity
from benchmark.reproduce import reproduce
from benchmark.run import run_benchmark
from benchmark.settings import Settings
from benchmark.train import Trainer

CPU = torch.device("cpu")


def run(release, out, models, overrides):
    run_benchmark(release, models, out=out, device="cpu", overrides=overrides)


def ask_one_user(release):
    """Ranks and lists of one user, as this process finds them alone, and as all ranks together do."""
    split = leave_one_out(load_release(Path(release)))
    model, asked = Popularity(split.frequency), split.test.drawn(1, seed=0)

    def found():
        ranks, lists = evaluate_and_list(model, asked, 10)
        dtypes = [str(ranks.above.dtype), str(ranks.tied.dtype)]
        again = evaluate(model, asked)
        return [one.tolist() for one in (ranks.above, ranks.tied, lists, again.above, again.tied)], dtypes

    alone = found()
    with parallel.process_group(CPU):
        return alone, found()


def one_step_on_pairs(release):
    """Loss and gradients of one step of DSSM, by name, as arrays."""
    settings = Settings(width=16, blocks=1, batch_size=33, dropout=0.0, row_wise="never")
    with parallel.process_group(CPU):
        split = leave_one_out(load_release(Path(release)))
        torch.manual_seed(0)
        model = MODELS["dssm"].build(split, settings, None)
        trainer = Trainer(model, MODELS["dssm"].task(model, split, settings), split.validation, settings, 0)
        batch = next(iter(trainer.task.batches(torch.Generator().manual_seed(0))))
        loss = parallel.total(trainer.step(batch))
        gradients = {name: one.grad.numpy() for name, one in model.named_parameters()}
        return {"loss": loss.detach().numpy(), **gradients}


def share_and_gather():
    """What two ranks make of uneven shares, sums and gradients, and of the weights that each begins with."""
    with parallel.process_group(CPU):
        rank = parallel.rank()
        rows = torch.arange(5)
        weights = torch.nn.Parameter(torch.zeros(4, 2))
        table = torch.nn.Embedding(6, 2, sparse=True)
        weights.grad = torch.full((4, 2), float(rank + 1))
        if rank == 0:
            table(torch.tensor([1, 3])).sum().backward()
        unused = torch.nn.Parameter(torch.zeros(3))
        parallel.add_up_gradients([weights, unused], [table.weight])
        whole, own = parallel.whole_batch(parallel.share(rows))
        begun = torch.nn.Parameter(torch.full((3, 2), float(rank)))
        parallel.take_over_first([begun])
        return {
            "share": parallel.share(rows).tolist(),
            "whole": whole.tolist(),
            "own": rows[own].tolist(),
            "joined": parallel.joined(parallel.share(rows)).tolist(),
            "gathered": [len(part) for part in parallel.gathered(parallel.share(rows))],
            "total": float(parallel.total(torch.tensor(rank + 1.0))),
            "gradient": weights.grad.unique().tolist(),
            "gradient of what is not used": unused.grad.unique().tolist(),
            "gradient of rows": table.weight.grad.to_dense()[:, 0].tolist(),
            "begun": begun.unique().tolist(),
        }


def meet_again_and_again():
    """The sum of ones in each of four meetings, to which one rank or the other comes late."""
    sums = []
    for meeting in range(4):
        if parallel.is_first() == meeting % 2:
            time.sleep(0.5)
        with parallel.process_group(CPU):
            sums.append(float(parallel.total(torch.ones(()))))
    return sums


def reproduce_a_table(release, out):
    """Every protocol of table 8, one after the other, by two rows."""
    quick = {"epochs": 1, "width": 8, "blocks": 1, "threads": 1}
    models = ["popularity", "sasrec"]
    reproduce("table8", release, out, preset="default", seeds=[0], models=models, device="cpu", overrides=quick)


def leave_a_group():
    """The names of this process's threads within a group in which AdamW was made, and after it."""
    with parallel.process_group(CPU):
        weights = torch.nn.Parameter(torch.ones(3))
        parallel.total(weights.detach())
        torch.optim.AdamW([weights])
        within = _threads()
    return within, _threads()


def _threads():
    return [(thread / "comm").read_text().strip() for thread in Path("/proc/self/task").iterdir()]
