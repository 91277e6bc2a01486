"""Train a model of RecBole's and print the curve of its validation, as one line of JSON: run by RecBole's own Python.

Arguments: the model, the folder that holds `release/release.inter`, most epochs, CPU threads. Settings are RecBole's
own but for the width, the length and the protocol: leave-one-out, all items ranked, the history masked.
"""

import json
import logging
import os
import sys
import time
from typing import Any

BEGAN = time.perf_counter()

import torch  # noqa: E402
from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.utils import get_model, get_trainer, init_seed  # noqa: E402


def main(model: str, folder: str, epochs: int, threads: int) -> None:
    torch.set_num_threads(threads)
    os.chdir(folder)  # where it writes its logs
    asked = {
        "data_path": folder,
        "checkpoint_dir": folder,
        "use_gpu": False,
        "show_progress": False,
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "MAX_ITEM_LIST_LENGTH": 12,
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
        "metrics": ["Hit", "NDCG"],
        "topk": [10],
        "valid_metric": "NDCG@10",
        "train_neg_sample_args": None,
        "embedding_size": 64,
        "hidden_size": 64,
        "epochs": epochs,
        "stopping_step": 5,
        "eval_batch_size": 50_000 * 20,
    }
    sys.argv = sys.argv[:1]
    config = Config(model=model, dataset="release", config_dict=asked)
    init_seed(config["seed"], config["reproducibility"])
    logging.getLogger().setLevel(logging.ERROR)
    dataset = create_dataset(config)
    train, valid, _ = data_preparation(config, dataset)
    built = get_model(config["model"])(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, built)
    _mask_history(built)
    curve: list[dict[str, float]] = []

    def tell(epoch: int, score: float) -> None:
        spent = {"cpu_s": time.process_time(), "wall_s": time.perf_counter() - BEGAN}
        curve.append({"epoch": epoch + 1, "ndcg@10": score} | spent)
        # What stays of a run that is stopped: the bench prints what a peer said that did not end well.
        sys.stdout.write(json.dumps(curve[-1]) + "\n")
        sys.stdout.flush()

    trainer.fit(train, valid, verbose=False, saved=False, callback_fn=tell)
    sys.stdout.write(json.dumps(curve) + "\n")


def _mask_history(model: Any) -> None:
    """RecBole's sequential models rank what a user met already besides; ours do not."""
    predict = model.full_sort_predict

    def masked(interaction: Any) -> torch.Tensor:
        scores: torch.Tensor = predict(interaction).view(-1, model.n_items)
        return scores.scatter_(1, interaction[model.ITEM_SEQ], -torch.inf)

    model.full_sort_predict = masked


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
