"""Processes that meet as torchrun's do, without its launcher: forked from one that has imported torch already."""

import multiprocessing
import os
import traceback

from torch.distributed import TCPStore


def on_ranks(processes, function, *arguments, start="forkserver", within_s=200):
    """Call an importable function in so many processes of one group; gives what each returned, by rank.

    With `start` "spawn" each process begins as an interpreter of its own, without imports.
    """
    context = multiprocessing.get_context(start)
    if start == "forkserver":
        context.set_forkserver_preload(["benchmark.run", "torch._dynamo"])
    # As torchrun does: the store is no rank's own, and lives as long as all of them.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    meeting = {
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    answers = [context.Pipe(duplex=False) for _ in range(processes)]
    started = [
        context.Process(
            target=_one,
            args=(meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, sender, function, arguments),
            daemon=True,
        )
        for rank, (_, sender) in enumerate(answers)
    ]
    for process in started:
        process.start()
    for _, sender in answers:
        sender.close()
    try:
        found = [receiver.recv() if receiver.poll(within_s) else (False, "no answer") for receiver, _ in answers]
    finally:
        for process in started:
            process.join(5)
            process.kill()
    assert all(is_fine for is_fine, _ in found), [told for is_fine, told in found if not is_fine]
    return [told for _, told in found]


def _one(environment, sender, function, arguments):
    os.environ.update(environment, OMP_NUM_THREADS="1")
    try:
        sender.send((True, function(*arguments)))
    except BaseException:  # noqa: BLE001 - it is told where the test waits
        sender.send((False, traceback.format_exc()))
