"""What a model says of tweets: probabilities, and attention weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from sentiment.data.batches import EVALUATION_TOKENS, Batch, Rows, TokenStore
from sentiment.models.calibration import Probabilities
from sentiment.models.classifier import Classifier


def predict(
    model: Classifier,
    store: TokenStore,
    rows: Rows,
    check: Callable[[], None] = lambda: None,
    most_tokens: int = EVALUATION_TOKENS,
) -> Probabilities:
    """Probability of positive sentiment for each of `rows`, in their order. Shape (len(rows),).

    Args:
        check: called between batches; an error that it raises ends the evaluation, which changes nothing.
        most_tokens: in a batch.
    """
    plan = store.in_order_of_length(rows, most_tokens)
    logits = []
    with evaluation_mode(model):
        for batch in plan:
            check()
            logits.append(model(batch).logits)
    by_length = torch.sigmoid(torch.cat(logits).double()).cpu().numpy()
    probabilities = np.empty(len(rows))
    probabilities[np.argsort(store.lengths[rows], kind="stable")] = by_length
    return probabilities


def attention_of(model: Classifier, batch: Batch) -> torch.Tensor | None:
    """The weight of each token in each hop, (batch, r, time); None for a model without attention."""
    with evaluation_mode(model):
        attention: torch.Tensor | None = model(batch).attention
    return attention


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Turn off dropout and gradients within the context, and restore the former mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)
