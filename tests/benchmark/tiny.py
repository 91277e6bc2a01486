"""Encoders of the real classes, tiny and drawn at random, in the form that pretrained ones are published in.

Transformers are imported by who makes one: every worker collects every test.
"""

import json

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WIDTH, SIDE, FRAMES = 32, 32, 4
SMALL = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
WORDS = ["[PAD]", "[BEGIN]", "[END]", "[UNK]", "title", *map(str, range(40)), "cat", "dog", "red", "blue"]


def tiny_videomae(folder, *, is_tuned=True, seed=0):
    import transformers

    torch.manual_seed(seed)
    config = transformers.VideoMAEConfig(
        **SMALL, image_size=SIDE, patch_size=16, num_frames=FRAMES, decoder_hidden_size=16, num_labels=3
    )
    model = (transformers.VideoMAEForVideoClassification if is_tuned else transformers.VideoMAEModel)(config)
    _stir(model).save_pretrained(folder)
    transformers.VideoMAEImageProcessorPil(**_sizes()).save_pretrained(folder)
    return folder


def tiny_clip(folder, *, seed=0):
    import transformers

    torch.manual_seed(seed)
    space = {"projection_dim": 24}
    # Not 2 for the end: to this class that means files of old, in which the largest number of all is the end.
    text = {**SMALL, **space, "vocab_size": len(WORDS), "max_position_embeddings": 16, "pad_token_id": 0}
    text |= {"bos_token_id": 1, "eos_token_id": 3}
    config = transformers.CLIPConfig(
        text_config=text, vision_config={**SMALL, **space, "image_size": SIDE, "patch_size": 16}, **space
    )
    _stir(transformers.CLIPModel(config)).save_pretrained(folder)
    transformers.CLIPImageProcessorPil(**_sizes()).save_pretrained(folder)
    tokenizer(["[PAD]", "[BEGIN]", "[UNK]", "[END]", *WORDS[4:]]).save_pretrained(folder)
    return folder


def tiny_text(folder, *, seed=0, pooling=None):
    import transformers

    torch.manual_seed(seed)
    config = transformers.BertConfig(**SMALL, vocab_size=len(WORDS), max_position_embeddings=16)
    _stir(transformers.BertModel(config)).save_pretrained(folder)
    tokenizer(WORDS).save_pretrained(folder)
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(
            json.dumps({"word_embedding_dimension": WIDTH, pooling: True})
        )
    return folder


def tokenizer(words):
    import transformers

    """A word is a token; a text has a begin and an end."""
    made = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = Lowercase(), Whitespace()
    edges = [(word, words.index(word)) for word in ("[BEGIN]", "[END]")]
    made.post_processor = TemplateProcessing(single="[BEGIN] $A [END]", special_tokens=edges)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", bos_token="[BEGIN]", eos_token="[END]"
    )


def _stir(model):
    """Weights as they are drawn are so small that all inputs look alike."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model


def _sizes():
    return {"size": {"shortest_edge": SIDE + 4}, "crop_size": {"height": SIDE, "width": SIDE}}
