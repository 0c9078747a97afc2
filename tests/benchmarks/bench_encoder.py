"""How fast a transformer gives vectors of tweets or is fine-tuned, against plain loops over padded batches.

Run with `python -m tests.benchmarks.bench_encoder FOLDER [--tweets N]`, where FOLDER holds a model such as
all-MiniLM-L6-v2. One thread; ratios are of processor time, medians of five rounds in turns. The effect of bf16 is that
on a linear layer which is fitted on vectors in fp32 of half of the tweets, and reads those of the other half. A round
of fine-tuning is one epoch.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from sentiment.config import EncoderConfig, TextConfig
from sentiment.config_file import resolve
from sentiment.data.text import Tokenizer
from sentiment.encoders.batches import TokenStore
from sentiment.encoders.pretrained import EncoderFiles, find_encoder
from sentiment.encoders.transformer import TWEET, Transformer
from sentiment.models.classifier import build_classifier
from sentiment.tokens import TokenRows
from sentiment.training.trainer import Updater
from tests.benchmarks.bench_data import some_tweets
from tests.benchmarks.timing import announce, spent

ROUNDS = 5
BATCH = 32
LEARNING_RATE = 3e-4
CHUNK = 1024  # as in `VectorCache`


def encode_plainly(folder: Path, texts: list[str]) -> Callable[[], torch.Tensor]:
    """What one would write by hand: batches in the order of the texts, padded to the longest."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def encode() -> torch.Tensor:
        means = []
        for first in range(0, len(texts), BATCH):
            batch = tokenizer(texts[first : first + BATCH], padding=True, truncation=True, return_tensors="pt")
            mask = batch["attention_mask"][..., None]
            means.append((network(**batch).last_hidden_state * mask).sum(1) / mask.sum(1))
        return torch.cat(means)

    return encode


def encode(encoder: Transformer, tweets: list[list[str]]) -> torch.Tensor:
    """The vectors of tweets by our encoder, (tweets, vector)."""
    chunks = [tweets[first : first + CHUNK] for first in range(0, len(tweets), CHUNK)]
    return torch.cat([encoder.encode(chunk, [TWEET])[TWEET] for chunk in chunks])


def finetune_plainly(folder: Path, texts: list[str], labels: list[int]) -> Callable[[], None]:
    """An epoch as one would write it by hand: shuffled batches, padded to the longest."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)

    def epoch() -> None:
        for rows in torch.randperm(len(texts)).split(BATCH):
            batch = tokenizer([texts[row] for row in rows], padding=True, truncation=True, return_tensors="pt")
            network(**batch, labels=torch.tensor([labels[row] for row in rows])).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return epoch


def finetune(model: EncoderFiles, tweets: list[list[str]], labels: list[int]) -> Callable[[], None]:
    """An epoch as a run makes it: batches of tweets of nearly equal length."""
    section = {"model": "the benchmark's", "use": "finetune"}
    training = {"optimizer": "adamw", "learning_rate": LEARNING_RATE, "batch_size": BATCH}
    config = resolve({"encoder": section, "model": {"kind": "linear"}, "training": training}, {}, "the benchmark")
    network = build_classifier(config, 2, model).train()
    device = torch.device("cpu")
    store = TokenStore(*network.embedding.pieces(TokenRows.of_tweets(tweets)), np.array(labels), device)
    updater = Updater(network, config.training, device)

    def epoch() -> None:
        for batch in store.epoch(np.arange(len(tweets)), BATCH, seed=1, epoch=0):
            logits = network(batch).logits.squeeze(1)
            updater.update(F.binary_cross_entropy_with_logits(logits, batch.labels.float()))

    return epoch


def compare(ways: dict[str, Callable[[], object]], tweets: int) -> None:
    """Time each way in turns; print tweets a second, and the ratios to the first way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            seconds[name].append(spent(way).processor)
    plain = median(next(iter(seconds.values())))
    for name, times in seconds.items():
        ratio = plain / median(times)
        print(f"{name}: {tweets / median(times):.0f} tweets a second and core, {ratio:.2f} x", flush=True)


def main() -> None:
    """Print tweets a second, ratios, and what bf16 changes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tweets", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    labelled, what = some_tweets(arguments.tweets)
    announce(f"vectors of {what}")
    tokenize = Tokenizer(TextConfig())
    tweets = [tokenize(text) for _, text in labelled]
    texts = [" ".join(tweet) for tweet in tweets]
    labels = np.array([int(label != "0") for label, _ in labelled])
    model = find_encoder(EncoderConfig(model=str(arguments.folder)), arguments.folder)
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "plain loop": encode_plainly(arguments.folder, texts),
        "fp32": partial(encode, Transformer(model), tweets),
        "bf16": partial(encode, Transformer(model, precision="bf16"), tweets),
    }
    compare(ways, len(tweets))
    vectors = {name: ways[name]().numpy() for name in ("fp32", "bf16")}
    half = np.arange(len(tweets)) % 2 == 0
    linear = LogisticRegression(max_iter=1000).fit(vectors["fp32"][half], labels[half])
    fp32, bf16 = (linear.predict_proba(vectors[name][~half]) for name in ("fp32", "bf16"))
    changed = int((fp32.argmax(1) != bf16.argmax(1)).sum())
    print(f"bf16 moves probabilities by at most {np.abs(fp32 - bf16).max():.3f}, and {changed} of {len(fp32)} labels")
    ways = {
        "plain loop of fine-tuning": finetune_plainly(arguments.folder, texts, labels.tolist()),
        "fine-tuning": finetune(model, tweets, labels.tolist()),
    }
    compare(ways, len(tweets))


if __name__ == "__main__":
    main()
