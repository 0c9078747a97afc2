"""Tiny transformers with random weights."""

import string
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

# Looked for and not imported: collecting tests should not take as long as importing it.
needs_transformers = pytest.mark.skipif(find_spec("transformers") is None, reason="the extra hub is not installed")

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20}


def tiny_bert(folder: Path) -> Path:
    """Its pieces are letters and a few words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", *letters, *(f"##{one}" for one in letters)]
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    _save(BertModel(BertConfig(vocab_size=len(pieces), max_position_embeddings=66, **SIZES)), folder)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return folder


def tiny_roberta(folder: Path) -> Path:
    """Its pieces are bytes, of which the blank before a word is one."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: n for n, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *bytes_, "Ġg", "Ġb"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("Ġ", "g"), ("Ġ", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    _save(RobertaModel(RobertaConfig(vocab_size=len(vocabulary), max_position_embeddings=66, **SIZES)), folder)
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return folder


def _save(model: Any, folder: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model.init_weights()
        for weights in model.parameters():  # as far apart as those of trained models
            torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(folder)
