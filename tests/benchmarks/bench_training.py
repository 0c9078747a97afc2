"""Training speed of this project's loop and of the usual way, in one process, on the same generated tweets.

The usual way is that of tutorials: a DataLoader, pad_sequence, pack_padded_sequence, nn.LSTM(bidirectional=True), Adam.
Both train a BiLSTM with 64 units on batches of 256, mean and maximum pooling, dropout of 0.1 on token vectors and
pooled ones, and the same clipping; ours deterministically, as runs are by default. Rates and ratios are of processor
time, on a GPU of the clock's. With 100 batches and five repeats figures vary less, and it takes many minutes.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.encoders.batches import TokenStore
from sentiment.models.classifier import build_classifier
from sentiment.training.device import make_reproducible
from sentiment.training.trainer import Updater
from tests.benchmarks.bench_data import zipf_tweets
from tests.benchmarks.timing import announce

VOCABULARY, BATCH = 30_000, 256
DROPOUT = 0.1
SPECIAL = 2  # types that stand in no tweet
Tweets = list[np.ndarray]


class PlainClassifier(nn.Module):
    """The usual BiLSTM, on packed sequences."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        size = config.model.hidden_size
        self.dropout = nn.Dropout(DROPOUT)
        self.embedding = nn.Embedding(VOCABULARY, config.embedding.size, padding_idx=0)
        self.lstm = nn.LSTM(config.embedding.size, size, bidirectional=True, batch_first=True)
        self.output = nn.Linear(4 * size, 1)

    def forward(self, token_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        vectors = self.dropout(self.embedding(token_ids))
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        mask = (torch.arange(states.shape[1]) < lengths[:, None])[..., None].to(states.device)
        mean = (states * mask).sum(1) / lengths[:, None].to(states.device)
        largest = states.masked_fill(~mask, -torch.inf).max(1).values
        return self.output(self.dropout(torch.cat([mean, largest], 1))).squeeze(1)


def _collate(batch: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    texts = [text for text, _ in batch]
    lengths = torch.tensor([len(text) for text in texts])
    return pad_sequence(texts, batch_first=True), lengths, torch.tensor([float(label) for _, label in batch])


def plain_epoch(config: RunConfig, tweets: Tweets, labels: np.ndarray, device: torch.device) -> Callable[[], None]:
    rows = [(torch.from_numpy(tweet), label) for tweet, label in zip(tweets, labels.tolist(), strict=True)]
    model = PlainClassifier(config).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.training.learning_rate)
    batches = DataLoader(rows, batch_size=BATCH, shuffle=True, collate_fn=_collate)  # type: ignore[arg-type]

    def epoch() -> None:
        torch.set_deterministic_debug_mode("default")
        for token_ids, lengths, wanted in batches:
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(token_ids.to(device), lengths), wanted.to(device))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return epoch


def own_epoch(config: RunConfig, tweets: Tweets, labels: np.ndarray, device: torch.device) -> Callable[[], None]:
    offsets = np.cumsum([0, *map(len, tweets)], dtype=np.int64)
    store = TokenStore(np.concatenate(tweets), offsets, labels, device)
    model = build_classifier(config, VOCABULARY).to(device)
    updater = Updater(model, config.training, device)
    number = 0

    def epoch() -> None:
        nonlocal number
        make_reproducible(torch.get_num_threads(), seed=1)
        model.train()
        for batch in store.epoch(np.arange(len(store.lengths)), BATCH, 1, number):
            with updater.precision():
                logits = model(batch).logits
                loss = F.binary_cross_entropy_with_logits(logits.squeeze(1).float(), batch.labels.float())
            updater.update(loss)
        number += 1

    return epoch


def seconds(epoch: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter() if device.type == "cuda" else time.process_time()
    epoch()
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter() - start
    return time.process_time() - start  # of all threads: others' load does not count


def measure(size: int, device: torch.device, batches: int, repeats: int) -> None:
    """Print tokens per second of both, alternating, and their ratio."""
    tweets = [tweet + SPECIAL for tweet in zipf_tweets(BATCH * batches, VOCABULARY - SPECIAL)]
    labels = np.random.default_rng(0).integers(0, 2, len(tweets))
    tokens = sum(map(len, tweets))
    changes = {"model.hidden_size": size, "model.dropout": DROPOUT, "embedding.dropout": DROPOUT}
    config = resolve({"training": {"clip": 1.0}}, changes, "the benchmark")
    epochs = {
        "usual way": plain_epoch(config, tweets, labels, device),
        "this loop": own_epoch(config, tweets, labels, device),
    }
    announce(f"training, BiLSTM-{size}, batch {BATCH}, dropout {DROPOUT}, {device}, {tokens:,} tokens an epoch")
    taken: dict[str, list[float]] = {name: [] for name in epochs}
    for number in range(repeats + 1):
        for name, epoch in epochs.items():
            print(f"\r  {f'round {number} of {repeats}, {name}':60}", end="", flush=True)
            spent = seconds(epoch, device)
            if number:  # the first is to warm up
                taken[name].append(spent)
    print(f"\r{'':62}\r", end="")
    for name, spent in taken.items():
        ratio = statistics.median(slow / fast for slow, fast in zip(taken["usual way"], spent, strict=True))
        print(f"  {name:29} {tokens / statistics.median(spent):>9,.0f} tokens/s   {ratio:.2f} x the usual way")


def main() -> None:
    """Print what each device makes of each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64])
    options = parser.parse_args()
    for device in [torch.device("cpu")] + ([torch.device("cuda")] if torch.cuda.is_available() else []):
        for size in options.sizes:
            measure(size, device, options.batches, options.repeats)


if __name__ == "__main__":
    main()
