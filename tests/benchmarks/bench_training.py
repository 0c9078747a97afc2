"""Training speed of this project's loop and of the usual way, in one process, on the same generated tweets.

The usual way is that of tutorials: a DataLoader, pad_sequence, pack_padded_sequence, nn.LSTM(bidirectional=True),
Adam. Both train a BiLSTM with 64 units on batches of 256 with mean and maximum pooling and the same clipping.
"""

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
from sentiment.data.batches import TokenStore
from sentiment.models.classifier import build_classifier
from sentiment.training.optimizer import Updater

ROWS, VOCABULARY, BATCH = 256 * 100, 30_000, 256
REPEATS = 5
Tweets = list[np.ndarray]


def generated_tweets() -> tuple[Tweets, np.ndarray]:
    """Token numbers that follow Zipf's law, in tweets of 15 tokens on average and at most 40, and random labels."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.gamma(3.5, 4.3, ROWS).round().astype(int), 1, 40)
    weights = 1 / np.arange(1, VOCABULARY - 1)
    tokens = generator.choice(VOCABULARY - 2, lengths.sum(), p=weights / weights.sum()) + 2
    return np.split(tokens, np.cumsum(lengths)[:-1]), generator.integers(0, 2, ROWS)


class PlainClassifier(nn.Module):
    """The usual BiLSTM on packed sequences."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        size = config.model.hidden_size
        self.embedding = nn.Embedding(VOCABULARY, config.embedding.size, padding_idx=0)
        self.lstm = nn.LSTM(config.embedding.size, size, bidirectional=True, batch_first=True)
        self.output = nn.Linear(4 * size, 1)

    def forward(self, token_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(self.embedding(token_ids), lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        mask = (torch.arange(states.shape[1]) < lengths[:, None])[..., None].to(states.device)
        mean = (states * mask).sum(1) / lengths[:, None].to(states.device)
        largest = states.masked_fill(~mask, -torch.inf).max(1).values
        return self.output(torch.cat([mean, largest], 1)).squeeze(1)


def plain_epoch(config: RunConfig, tweets: Tweets, labels: np.ndarray, device: torch.device) -> Callable[[], None]:
    rows = [(torch.from_numpy(tweet), label) for tweet, label in zip(tweets, labels.tolist(), strict=True)]

    def collate(batch: list[tuple[torch.Tensor, int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        texts = [text for text, _ in batch]
        lengths = torch.tensor([len(text) for text in texts])
        return pad_sequence(texts, batch_first=True), lengths, torch.tensor([float(label) for _, label in batch])

    loader = DataLoader(rows, batch_size=BATCH, shuffle=True, collate_fn=collate)  # type: ignore[arg-type]
    model = PlainClassifier(config).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.training.learning_rate)

    def epoch() -> None:
        for token_ids, lengths, wanted in loader:
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
        for batch in store.epoch(np.arange(len(store)), BATCH, 1, number):
            updater.update(F.binary_cross_entropy_with_logits(model(batch).logits, batch.labels))
        number += 1

    return epoch


def seconds(epoch: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    epoch()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Print tokens per second of both, alternating, and the ratio."""
    tweets, labels = generated_tweets()
    tokens = sum(map(len, tweets))
    for device in [torch.device("cpu")] + ([torch.device("cuda")] if torch.cuda.is_available() else []):
        config = RunConfig()
        plain = plain_epoch(config, tweets, labels, device)
        own = own_epoch(config, tweets, labels, device)
        for epoch in (plain, own):
            seconds(epoch, device)  # warm
        pairs = [(seconds(plain, device), seconds(own, device)) for _ in range(REPEATS)]
        plain_rate, own_rate = (tokens / statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(slow / fast for slow, fast in pairs)
        print(
            f"training, BiLSTM-64, batch 256, {device} ({torch.get_num_threads()} threads), {tokens:,} tokens an epoch"
        )
        print(f"  plain way {plain_rate:>9,.0f} tokens/s\n  this loop {own_rate:>9,.0f} tokens/s   {ratio:.2f} x")


if __name__ == "__main__":
    main()
