"""The recommendation: the best configuration, which of its models to use, its uncertainty and its training time."""

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from report.compare.added import AddedPredictor
from report.compare.answers import SEEDED, Group, compared
from report.compare.cost import cost_per_run
from report.compare.datasets import Configuration, Dataset
from report.evaluated import EvaluatedRun
from sentiment.errors import RunDirError
from sentiment.runs.predictions import ENOUGH_ANSWERS
from sentiment.runs.records import ModelKind, mean_score
from sentiment.statistics.designs import by_class
from sentiment.statistics.estimate import Difference, Estimate
from sentiment.statistics.metrics import Metric


@dataclass(frozen=True)
class Recommended:
    """The recommendation; every statement of the first screen is derived from it.

    Attributes:
        dataset: the data set that it is for.
        configuration: the candidate with the best mean validation macro F1.
        recommended_model: the model to use, recommended by the run's validation tweets, see
            `sentiment.runs.recommendation`.
        alternative: the model that is compared with the linear baseline: `recommended_model`, or, if that is the
            baseline, the better one of network and mean of both on validation tweets.
        score: the accuracy or macro recall of that model on test tweets; differences are of the same metric.
        gain: the test score of `alternative` minus the linear baseline's; None without predictions.
        rivals: the other eligible configurations that can be compared, the best on validation tweets first: the test
            score of the recommended network minus that of theirs.
        added: the added predictors, compared with the model to use.
    """

    dataset: Dataset
    configuration: Configuration
    recommended_model: ModelKind
    alternative: ModelKind
    score: Estimate
    gain: Difference | None
    rivals: dict[Configuration, Difference]
    added: list[AddedPredictor]

    @property
    def metric_name(self) -> str:
        return self.dataset.metric_name

    @property
    def recalls(self) -> list[tuple[str, float, int]]:
        """Of each class its name, the recall of the predictor to use, and the number of test tweets."""
        winner = self.added_winner
        runs = self.configuration.runs if self.recommended_model in SEEDED else self.configuration.runs[:1]
        measured = [winner.metrics] if winner else [run.test_metrics[self.recommended_model] for run in runs]
        names = self.configuration.config.data.label_names
        recalls = [fmean(of_class) for of_class in zip(*(metrics.recall for metrics in measured), strict=True)]
        return [*zip(names, recalls, measured[0].sizes, strict=True)]

    @property
    def lexicon_above(self) -> float | None:
        """The lexicon's test score if it is higher than that of the predictor to use."""
        if "lexicon" not in self.run.kinds:
            return None
        winner = self.added_winner
        score = winner.score(self.dataset.metric) if winner else self.score
        lexicon = self.run.score("test", self.dataset.metric, "lexicon")
        return lexicon if lexicon > score.value else None

    @property
    def not_worse(self) -> list[Configuration]:
        """The rivals that are not significantly worse."""
        return [rival for rival, difference in self.rivals.items() if not difference.is_better]

    @property
    def cheapest(self) -> dict[str, Configuration]:
        """By device, `GPU` or `CPU`: the one with the least compute time of the recommended configuration and those not
        significantly worse. Seconds of GPUs and of CPUs have no common measure.
        """
        by_device: dict[str, list[Configuration]] = defaultdict(list)
        for configuration in [self.configuration, *self.not_worse]:
            device = "GPU" if cost_per_run(configuration).gpu else "CPU"
            by_device[device].append(configuration)
        return {device: min(group, key=cost_per_run) for device, group in by_device.items()}

    @property
    def added_winner(self) -> AddedPredictor | None:
        """The added predictor to use instead of a trained model; None if none is better.

        It is ahead on the validation set and significantly better on the test set; of several, the first by macro F1 on
        validation tweets.
        """
        better = [predictor for predictor in self.added if predictor.replaces_recommended]
        return max(better, key=lambda predictor: predictor.validation_macro_f1 or 0.0, default=None)

    @property
    def run(self) -> EvaluatedRun:
        """The run with the best validation macro F1."""
        return self.configuration.best_seed


def recommend(dataset: Dataset) -> Recommended:
    """Compare the best configuration with all eligible ones and added predictors."""
    best = dataset.best
    model = best.best_seed.recommended
    alternative = _best_alternative(best, dataset.metric) if model == "baseline" else model
    return Recommended(
        dataset=dataset,
        configuration=best,
        recommended_model=model,
        alternative=alternative,
        score=dataset.score(best, model),
        gain=_gain(dataset, best, alternative),
        rivals=_rivals(dataset, best),
        added=_compared_added(dataset, best, model),
    )


def _rivals(dataset: Dataset, best: Configuration) -> dict[Configuration, Difference]:
    """The other eligible configurations that can be compared, in two families.

    The first are the other candidates. The best one was selected of all candidates, so each pair of these counts as a
    hypothesis. The second are configurations with a single seed where candidates have several: they are corrected
    apart, so that they change nothing about the candidates.
    """
    candidates = [configuration for configuration in dataset.candidates if configuration is not best]
    others = [configuration for configuration in dataset.eligible if configuration not in dataset.candidates]
    differences: dict[Configuration, Difference] = {}
    design = dataset.design_for(best)
    network = Group([best.runs], "network")
    for family, hypotheses in (
        (candidates, math.comb(len(dataset.candidates), 2)),
        (others, len(dataset.candidates) * len(others)),
    ):
        rivals = {rival: Group([rival.runs], "network") for rival in family}
        uncorrected = {rival: dataset.answers.difference(design, network, group) for rival, group in rivals.items()}
        differences |= compared(uncorrected, hypotheses)
    return {rival: differences[rival] for rival in dataset.eligible if rival in differences}


def _compared_added(dataset: Dataset, best: Configuration, model: ModelKind) -> list[AddedPredictor]:
    """The added predictors, compared with the model to use; one family, each with each candidate."""
    answers = dataset.answers.including(dataset.added)
    design = dataset.design_for(best, model)
    recommended = Group([best.runs[:1] if model == "baseline" else best.runs], model)
    uncorrected = {
        added.name: answers.difference(design, recommended, Group([[added]], "added")) for added in dataset.added
    }
    differences = compared(uncorrected, len(dataset.candidates) * len(dataset.added))
    compared_added = []
    for added in dataset.added:
        beats_on_validation = _beats_on_validation(added, best, model, dataset.metric)
        below = differences.get(added.name)
        compared_added.append(replace(added, below_recommended=below, beats_on_validation=beats_on_validation))
    return compared_added


def _beats_on_validation(added: AddedPredictor, best: Configuration, model: ModelKind, metric: Metric) -> bool:
    """Whether an added predictor that is no person has a higher score on the validation tweets that both have, of which
    there are at least ENOUGH_ANSWERS."""
    added_part = added.validation
    if added_part is None or added.record.annotator:
        return False
    try:
        run_part = best.best_seed.fold_runs[0].predictions("validation")
    except RunDirError:  # reported where test predictions are read
        return False
    answered = np.flatnonzero(added_part.of("added").answered)
    _, first, second = np.intersect1d(run_part.tweets, added_part.tweets[answered], return_indices=True)
    gaps = added_part.right("added")[answered][second].astype(int) - run_part.right(model)[first]
    classes = run_part.labels[first] if metric == "macro_recall" else None
    return len(gaps) >= ENOUGH_ANSWERS and sum(class_gaps.mean() for class_gaps in by_class(gaps, classes)) > 0


def _best_alternative(configuration: Configuration, metric: Metric) -> ModelKind:
    """The network or the mean of both, by the mean validation score over seeds; ties are broken by the lower loss."""

    def score(model: ModelKind) -> tuple[float, float]:
        losses = configuration.values("validation", "loss", model)
        return mean_score(configuration.values("validation", metric, model)), -fmean(losses)

    alternatives: tuple[ModelKind, ...] = ("network", "both")
    return max(alternatives, key=score)


def _gain(dataset: Dataset, best: Configuration, alternative: ModelKind) -> Difference | None:
    """The gain of the network or the mean of both over the baseline; corrected for all candidates."""
    if alternative == "network":
        return dataset.against_baseline.get(best)
    gain = dataset.answers.with_baseline(dataset.design_for(best, alternative), best.runs, alternative)
    return compared({best: gain}, len(dataset.candidates)).get(best)
