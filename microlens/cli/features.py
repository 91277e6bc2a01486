"""`microlens-build features`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import AsJson, Device, ReleasePath
from microlens.errors import RecipeError

NAME = "features"


def command(
    release: ReleasePath = None,
    *,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            help="videomae (videos), clip (covers), clip-text or text (titles); may be given again.",
            show_default="videomae, clip, text, as far as the release has what they take",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="PATH_OR_NAME",
            help="A folder with config.json and model.safetensors, or a name on the Hugging Face hub (NAME@REVISION).",
            show_default="MCG-NJU/videomae-base-finetuned-kinetics, laion/CLIP-ViT-B-32-laion2B-s34B-b79K, "
            "sentence-transformers/all-MiniLM-L6-v2",
        ),
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(
            help="What is done to an input: encoder, as the weights were trained with; paper, by the paper's recipe.",
            show_default="encoder",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Inputs encoded at once.", show_default="8 videos, 64 covers, 256 or 128 titles"),
    ] = None,
    device: Device = None,
    dtype: Annotated[
        str, typer.Option(help="How numbers are kept: float32, or float16, which takes half the space.")
    ] = "float32",
    processes: Annotated[
        int | None, typer.Option("-n", "--processes", min=1, help="Processes that decode files.", show_default="2")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="torch's on a CPU.", show_default="its cores")] = None,
    name: Annotated[
        str | None, typer.Option(help="What the features are called.", show_default="the encoder's name")
    ] = None,
    import_from: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE",
            help="Features made elsewhere, with --name: .npy (row i is item i + 1) or .csv (item's id, then numbers).",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Encode videos, covers and titles of a release with frozen pretrained encoders, for models that read content.

    microlens-build features runs/demo/releases/demo --encoder text --weights ./all-MiniLM-L6-v2
    """
    from benchmark.feature_import import import_features
    from benchmark.features import extract_features, usual_encoders
    from microlens.cli.output import print_features
    from microlens.cli.places import newest_release
    from microlens.cli.reporter import Reporter
    from microlens.settings import Settings

    reporter = Reporter()
    folder = release or newest_release(Settings())
    if import_from is not None:
        encoding = {
            "--encoder": encoder,
            "--weights": weights,
            "--preprocessing": preprocessing,
            "--batch": batch,
            "--device": device,
            "--processes": processes,
            "--threads": threads,
        }
        useless = [option for option, value in encoding.items() if value is not None]
        if name is None or useless:
            raise RecipeError(
                "--import takes features as they are: it goes with --name, and without "
                + (", ".join(useless) or "what is told of an encoder"),
                hint=f"microlens-build features {folder} --import {import_from} --name {name or 'official-video'}",
            )
        print_features([import_features(folder, import_from, name, dtype=dtype)], as_json=as_json)
        return
    encoders = list(dict.fromkeys(encoder or usual_encoders(folder)))
    if len(encoders) > 1 and (weights or name):
        raise RecipeError(
            f"--weights and --name are for one encoder, not for {', '.join(encoders)}",
            hint="add --encoder, and run the command once for each",
        )
    made = []
    for each in encoders:
        stage = f"features {each}"
        made.append(
            extract_features(
                folder,
                each,
                name=name,
                weights=weights,
                preprocessing=preprocessing or "encoder",
                dtype=dtype,
                batch=batch,
                device=device,
                processes=processes or 2,
                threads=threads,
                progress=lambda facts, stage=stage: reporter.tick(stage, lambda: facts),  # type: ignore[misc]
            )
        )
        reporter.done(stage, {key: made[-1].facts[key] for key in ("items", "items_with_feature", "seconds")})
    print_features(made, as_json=as_json)
    for features in made:
        features.refuse_broken()
