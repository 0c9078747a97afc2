"""All predictors of a run that read texts, made of its network and its baseline. Does not import torch."""

from collections.abc import Sequence

from sentiment.models.lexicon import LexiconModel
from sentiment.models.text_model import MeanModel, Predictions, TextModel
from sentiment.runs.records import PredictorKind


def all_models(network: TextModel, baseline: TextModel, temperature: float) -> list[TextModel]:
    """The predictors of a run, in the order of tables; `temperature` is that of the mean of both."""
    models = [network, baseline, MeanModel(network, baseline, temperature)]
    if network.config.data.is_english:
        models.append(LexiconModel(network.config))
    return models


def classify_by_all(models: Sequence[TextModel], texts: Sequence[str]) -> dict[PredictorKind, Predictions]:
    """The predictions of each of `all_models`; each text is read once by each model."""
    predictions: dict[PredictorKind, Predictions] = {}
    for model in models:
        if isinstance(model, MeanModel):
            predictions[model.kind] = model.combine(predictions["network"], predictions["baseline"])
        else:
            predictions[model.kind] = model.classify_texts(texts)
    return predictions
