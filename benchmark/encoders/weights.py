"""Pretrained weights: a folder on this machine, or a name on the Hugging Face hub; safetensors alone, never a pickle.

Nothing that comes with weights is executed: `trust_remote_code` is off, and no file but these is fetched or read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from torch import float32
from transformers import logging as transformers_logging

from benchmark.device import is_out_of_memory
from microlens.errors import RecipeError, UnreachableError
from microlens.store import sha256_of

_FILES = ("*.json", "*.txt", "model*.safetensors", "1_Pooling/config.json")
_GIVE = "give --weights a folder with config.json and model.safetensors, or a name on the hub such as {}"

# Bars for a folder that is read in a second, and a page about weights that are not used.
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


@dataclass(frozen=True)
class Weights:
    name: str
    """On the hub, or of the folder: where that lies is nobody's business."""
    folder: Path
    sha256: str
    """Of the names and bytes of all files that may be read."""

    def json(self, name: str) -> dict[str, Any]:
        """Read one of the settings' files; empty if there is none."""
        path = self.folder / name
        try:
            return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
        except ValueError as error:
            raise RecipeError(f"{path} is no JSON object: {error}", hint="get the weights again") from error

    def load(self, kind: Any, *, unused: str = "\0") -> Any:
        """Load a model of this transformers class, in float32, to be asked and not trained.

        RecipeError if the files lack any of its weights, but for those whose names begin with `unused`: transformers
        would draw them at random.
        """
        try:
            model, told = kind.from_pretrained(
                self.folder, **_SAFELY, dtype=float32, output_loading_info=True, ignore_mismatched_sizes=True
            )
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
            if is_out_of_memory(error):
                raise
            raise self.unusable(kind, str(error)) from error
        wrong = {*told["missing_keys"], *(name for name, *_ in told["mismatched_keys"])}
        missing = sorted(name for name in wrong if not name.startswith(unused))
        if missing:
            raise self.unusable(
                kind, f"{len(missing)} of its weights are not there, or of another shape, such as {missing[0]}"
            )
        return model.eval().requires_grad_(requires_grad=False)

    def load_settings(self, kind: Any) -> Any:
        """Load a configuration or a tokenizer, which have no weights."""
        try:
            return kind.from_pretrained(self.folder, **_SAFELY)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise self.unusable(kind, str(error)) from error

    def unusable(self, kind: Any, why: str) -> RecipeError:
        return RecipeError(
            f"the weights {self.name!r} ({self.folder}) cannot be used as {kind.__name__}: {why.splitlines()[0]}",
            hint="name weights of that kind, as safetensors; `microlens-build features --help` tells the usual ones",
        )


_SAFELY = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}


def find_weights(name: str, *, usual: str) -> Weights:
    """Find a folder, or fetch NAME or NAME@REVISION from the hub; `usual` is a name that would do."""
    is_here = Path(name).is_dir()
    folder = Path(name) if is_here else _fetched(name, usual)
    if not (folder / "config.json").is_file():
        raise RecipeError(f"the folder {folder} has no config.json: it holds no weights", hint=_GIVE.format(usual))
    if not any(folder.glob("model*.safetensors")):
        raise RecipeError(
            f"the weights {name!r} have no model.safetensors, and nothing else is opened",
            hint="convert them where you trust them, with their `save_pretrained`; " + _GIVE.format(usual),
        )
    files = sorted({path for pattern in _FILES for path in folder.glob(pattern)})
    listed = [f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n" for path in files]
    return Weights(
        folder.resolve().name if is_here else name, folder, hashlib.sha256("".join(listed).encode()).hexdigest()
    )


def _fetched(name: str, usual: str) -> Path:
    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(_FILES)))
    except HFValidationError as error:
        raise RecipeError(f"{name!r} is neither a folder nor a name on the hub", hint=_GIVE.format(usual)) from error
    except Exception as error:  # its client's errors are of several libraries, and change with its versions
        raise UnreachableError(
            f"the weights {name!r} are no folder here, and cannot be had from the hub: {str(error).splitlines()[0]}",
            hint="fetch them on a machine with a network, copy the folder, and name it with --weights",
        ) from error
