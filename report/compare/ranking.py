"""The one ranking of all predictors of a data set by their scores on validation tweets, and which one to use.

All that is said of the recommendation comes from `Recommended`: the first screen, rankings, LaTeX and the checklist.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from report.compare.added import AddedPredictor
from report.compare.answers import Group, read_answers
from report.compare.claims import Claim, decided
from report.compare.datasets import Configuration, Dataset, competing, design_of, distinguish, trained_on_most
from report.compare.matching import Runs, varying
from report.evaluated import EvaluatedRun, Reader, Settings
from sentiment.answers.recommendation import SIMPLEST_FIRST, recommend
from sentiment.answers.table import ENOUGH_ANSWERS
from sentiment.runs.records import MODEL_KINDS, SEEDED, Part, PredictorKind, mean_score
from sentiment.statistics.designs import Design
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.metrics import Metric, estimate_of

# Untrained predictors, which are ranked and never recommended.
_REFERENCES: tuple[PredictorKind, ...] = ("lexicon", "majority")
# Of equal scores the simpler predictor comes first.
_RANKED_FIRST = (*_REFERENCES, *SIMPLEST_FIRST, "added")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A configuration with one of its predictors, as it is ranked.

    Attributes:
        configuration: the predictor's; the first one of those that share a linear baseline or a reference.
        runs: the runs of all seeds; a single one if nothing depends on the seed.
        score: the mean accuracy or macro recall on validation tweets.
        settings: those by which predictors of this kind are told apart.
        competes: whether it may be recommended.
    """

    configuration: Configuration
    kind: PredictorKind
    runs: Runs
    score: float
    settings: Settings = field(default_factory=dict)
    competes: bool = False


Ranked = Candidate | AddedPredictor
# How candidates are compared with others, by their kind and whether they compete.
_Designs = dict[tuple[PredictorKind, bool], Design]


@dataclass(frozen=True)
class Recommended:
    """What to use on the tweets of a data set.

    Attributes:
        ranking: all predictors, the best on validation tweets first; those without a score there come last.
        model: the trained model to use, see `sentiment.answers.recommendation`.
        baseline: the best linear baseline on validation tweets.
        added_winner: the added predictor to use instead; None if none is shown to be better on validation tweets.
        differences: the test score of each other predictor minus that of `model`, where they can be compared.
        designs: how they are compared on test tweets.
    """

    dataset: Dataset
    ranking: list[Ranked]
    model: Candidate
    baseline: Candidate
    added_winner: AddedPredictor | None
    differences: dict[Ranked, Estimate]
    designs: _Designs

    @property
    def metric(self) -> Metric:
        return self.dataset.metric

    @property
    def candidates(self) -> list[Candidate]:
        return [ranked for ranked in self.ranking if isinstance(ranked, Candidate)]

    @property
    def added(self) -> list[AddedPredictor]:
        return [ranked for ranked in self.ranking if isinstance(ranked, AddedPredictor)]

    @property
    def alternative(self) -> Candidate:
        """What is compared with the linear baseline: the model to use, or the best other one if that is a baseline."""
        if self.model.kind != "baseline":
            return self.model
        return next(each for each in self.candidates if each.competes and each.kind != "baseline")

    @property
    def rival(self) -> Candidate:
        """The linear baseline, or the best other model if it is the one to use."""
        return self.alternative if self.model is self.baseline else self.baseline

    @property
    def run(self) -> EvaluatedRun:
        """The run of the model to use that has the best score on validation tweets."""
        runs = sorted(self.model.runs, key=lambda run: run.run_id)
        return max(runs, key=lambda run: run.score("validation", self.metric, self.model.kind))

    @property
    def is_conditional(self) -> bool:
        """Whether comparisons hold for trained models alone, since nothing is known of seeds."""
        return any(difference.is_conditional for difference in self.differences.values())

    def test_score(self, candidate: Ranked) -> Estimate:
        """The test score of a predictor with its confidence interval.

        That of a model without predictions is the recorded one, or the mean; and so are those of the references.
        """
        if isinstance(candidate, AddedPredictor):
            return candidate.test_score(self.metric)
        if candidate.kind in MODEL_KINDS:
            design = self.designs[candidate.kind, candidate.competes]
            score = self.dataset.answers.score(design, _group_of(candidate))
            if score:
                return score
        recorded = [estimate_of(run.test_metrics[candidate.kind], self.metric) for run in candidate.runs]
        if len(recorded) == 1:
            return recorded[0]
        mean = mean_score(estimate.value for estimate in recorded)
        return Estimate(mean, None, None, min(estimate.n for estimate in recorded))


def recommend_for(dataset: Dataset, reader: Reader) -> Recommended:
    """Rank all predictors of a data set, recommend one, and compare the others with it."""
    candidates = candidates_of(dataset)
    competing_ones = [candidate for candidate in candidates if candidate.competes]
    designs = _designs_of(candidates, dataset.metric, "test")
    of_validation = _designs_of(candidates, dataset.metric, "validation")

    def are_better(pairs: Sequence[tuple[Candidate, Candidate]]) -> list[bool]:
        runs = {run.run_id: run for pair in pairs for candidate in pair for run in candidate.runs}
        validation = read_answers(runs.values(), reader, "validation").with_metric(dataset.metric)
        better = decided({pair: _claim(*pair, of_validation) for pair in pairs}, validation)
        return [pair in better and better[pair].is_better for pair in pairs]

    model = recommend(competing_ones, are_better)
    baseline = max((each for each in competing_ones if each.kind == "baseline"), key=lambda each: each.score)
    return Recommended(
        dataset=dataset,
        ranking=sorted([*candidates, *dataset.added], key=_place),
        model=model,
        baseline=baseline,
        added_winner=_added_winner(dataset, of_validation, model, reader),
        differences=_differences(dataset, candidates, designs, model),
        designs=designs,
    )


def _place(ranked: Ranked) -> tuple[bool, float, int]:
    """What predictors are sorted by: the score, and of equal ones the simpler one first."""
    return ranked.score is None, -(ranked.score or 0.0), _RANKED_FIRST.index(ranked.kind)


def candidates_of(dataset: Dataset) -> list[Candidate]:
    """The models of all configurations and the references, in the order of configurations."""
    metric = dataset.metric
    may_compete = competing(dataset.configurations)
    candidates = []
    for each in dataset.configurations:
        for kind in SEEDED:
            score = mean_score(run.score("validation", metric, kind) for run in each.runs)
            candidates.append(Candidate(each, kind, each.runs, score, each.distinguishing, each in may_compete))
    candidates += _baselines(dataset)
    first = dataset.configurations[0]
    for kind in _REFERENCES:
        if kind in first.runs[0].test_metrics:
            score = first.runs[0].score("validation", metric, kind)
            candidates.append(Candidate(first, kind, first.runs[:1], score))
    return candidates


def _baselines(dataset: Dataset) -> list[Candidate]:
    """The linear baselines: one for all configurations that read the same tweets in the same way."""
    by_tweets: dict[tuple[str, ...], list[Configuration]] = defaultdict(list)
    for configuration in dataset.configurations:
        by_tweets[tuple(configuration.runs[0].corpora)].append(configuration)
    runs = []
    for group in by_tweets.values():
        of_group = sorted((run for each in group for run in each.runs), key=lambda run: run.run_id)
        runs.append((dataset.answers.readable(of_group) or of_group)[0])
    names = [name for name in varying(runs) if name.startswith("data.")]
    on_most = trained_on_most(dataset.configurations)
    baselines = []
    for (first, *_), run, settings in zip(by_tweets.values(), runs, distinguish(runs, names), strict=True):
        score = run.score("validation", dataset.metric, "baseline")
        baselines.append(Candidate(first, "baseline", [run], score, settings, first in on_most))
    return baselines


def _designs_of(candidates: Sequence[Candidate], metric: Metric, part: Part) -> _Designs:
    """The designs on a part; the variance between the seeds of what competes is that of what does so as well."""
    designs: _Designs = {}
    for kind, competes in {(each.kind, each.competes) for each in candidates}:
        pool = [each.runs for each in candidates if each.kind == kind and (each.competes or not competes)]
        designs[kind, competes] = design_of(pool, kind, metric, part)
    return designs


def _claim(first: Ranked, second: Ranked, designs: _Designs) -> Claim:
    """The claim of two predictors, at least one of which was trained here: its design is that of the one with seeds."""
    trained = [each for each in (first, second) if isinstance(each, Candidate)]
    compared = next((each for each in trained if each.kind in SEEDED), trained[0])
    return Claim(_group_of(first), _group_of(second), designs[compared.kind, compared.competes])


def _differences(
    dataset: Dataset, candidates: Sequence[Candidate], designs: _Designs, model: Candidate
) -> dict[Ranked, Estimate]:
    """The differences of other predictors from the model, in five families, none of which changes another one.

    They are: models of its kind that compete, of which it was selected, so that each pair of them counts as a claim;
    those of other kinds that compete, which count as often as there are others that might be recommended; other models,
    the lexicon, and added predictors, each of which could be compared with each of its kind.
    """
    alike = [each for each in candidates if each.competes and each.kind == model.kind]
    others = [each for each in candidates if each.competes and each.kind != model.kind]
    single = [each for each in candidates if not each.competes and each.kind in MODEL_KINDS]
    lexicon = [each for each in candidates if each.kind == "lexicon"]
    n = len(alike)
    families: list[tuple[Sequence[Ranked], int]] = [(alike, math.comb(n, 2)), (others, n + len(others) - 1)]
    families += [(family, n * len(family)) for family in (single, lexicon, dataset.added)]
    answers = dataset.answers.including(dataset.added)
    differences: dict[Ranked, Estimate] = {}
    for family, number in families:
        claims = {each: _claim(model, each, designs) for each in family if each is not model}
        found = decided(claims, answers, number)
        differences |= {each: difference.reversed for each, difference in found.items()}
    return differences


def _group_of(ranked: Ranked) -> Group:
    return Group([[ranked]], "added") if isinstance(ranked, AddedPredictor) else Group([ranked.runs], ranked.kind)


def _added_winner(dataset: Dataset, designs: _Designs, model: Candidate, reader: Reader) -> AddedPredictor | None:
    """The best of the added predictors to which the model is shown to be worse on at least ENOUGH_ANSWERS validation
    tweets that both have."""
    eligible = [added for added in dataset.added if added.score is not None]
    answers = read_answers(model.runs, reader, "validation").including(eligible, "validation")
    answers = answers.with_metric(dataset.metric)
    below = decided({added: _claim(model, added, designs) for added in eligible}, answers)
    better = [added for added, difference in below.items() if difference.is_worse and difference.n >= ENOUGH_ANSWERS]
    return max(better, key=lambda added: added.score or 0.0, default=None)
