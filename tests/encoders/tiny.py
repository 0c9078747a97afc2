"""Tiny transformers with random weights, made here, and a Hub on loopback that has them."""

import hashlib
import json
import string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

COMMIT = "0123456789abcdef0123456789abcdef01234567"
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


class Hub(ThreadingHTTPServer):
    """Answers as the Hub does for one model, `some/model` of one commit.

    Attributes:
        files: what the repository holds.
        asked: the paths of all requests.
        unanswered: a file that it says it has, and does not give.
        sha256_of_weights: what it says; empty: the truth.
    """

    def __init__(self, folder: Path, licence: str | None = "apache-2.0") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        self.licence, self.asked = licence, list[str]()
        self.unanswered = self.sha256_of_weights = ""
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def info(self) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = [
            {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
            for name, content in self.files.items()
        ]
        for one in siblings:
            if one["rfilename"].endswith(".safetensors"):
                sha256 = self.sha256_of_weights or hashlib.sha256(self.files[one["rfilename"]]).hexdigest()
                one["lfs"] = {"sha256": sha256, "size": one["size"], "pointerSize": 134}
        said = {"id": "some/model", "sha": COMMIT, "siblings": siblings, "tags": ["bert", "arxiv:1908.10084"]}
        return said | ({"cardData": {"license": self.licence}} if self.licence else {})

    def tree(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": one["rfilename"], "size": one["size"], "oid": one["blobId"]}
            for one in self.info()["siblings"]
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        path = self.path.partition("?")[0]
        name = path.removeprefix(f"/some/model/resolve/{COMMIT}/")
        if path == "/api/models/some/model/revision/main":
            self._answer(json.dumps(self.server.info()).encode())
        elif path == f"/api/models/some/model/tree/{COMMIT}":
            self._answer(json.dumps(self.server.tree()).encode())
        elif name in self.server.files and name != self.server.unanswered:
            self._answer(self.server.files[name])
        else:
            self.send_error(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass
