"""Models on external test sets (`data.tests`), each compared with the linear baseline and with the lexicon."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from report.compare.answers import Answers, Group, read_answers
from report.compare.claims import Claim, decided
from report.compare.datasets import LEXICON_AUTHORS, Dataset, design_of
from report.compare.ranking import Candidate, Recommended
from report.evaluated import EvaluatedRun, Reader
from sentiment.config import PARTS
from sentiment.runs.records import Part, PredictorKind
from sentiment.statistics.designs import Design, Matched
from sentiment.statistics.estimate import Estimate

# What each predictor is compared with; others are compared with none.
_COMPARED_WITH: dict[PredictorKind, tuple[PredictorKind, ...]] = {
    "network": ("baseline", "lexicon"),
    "both": ("baseline", "lexicon"),
    "baseline": ("lexicon",),
}


@dataclass(frozen=True)
class ExternalResult:
    """One predictor on one external test set.

    Attributes:
        test_set: its name.
        best: the recommendation for the data set that it was trained on.
        score: its accuracy or macro recall, as the data set's models are compared.
        macro_recall: the mean recall of the classes of which there are tweets.
        differences: its score minus that of others, corrected for all models that were trained on the data set.
    """

    test_set: Part
    best: Recommended
    candidate: Candidate
    score: Estimate
    macro_recall: float
    differences: dict[PredictorKind, Estimate] = field(default_factory=dict)

    @property
    def dataset(self) -> Dataset:
        return self.best.dataset

    @property
    def is_recommended(self) -> bool:
        """Whether it is the model that is recommended for the data set."""
        return self.candidate is self.best.model

    @property
    def from_lexicon_authors(self) -> bool:
        table = self.candidate.configuration.config.data.tests.get(self.test_set)
        return table is not None and table.path in LEXICON_AUTHORS


def compare_on_external_tests(recommendations: Sequence[Recommended], reader: Reader) -> list[ExternalResult]:
    """Evaluate all models on all external test sets, the recommended one first.

    A test set is a family for each data set that models were trained on.
    """
    evaluated: list[ExternalResult] = []
    for best in recommendations:
        for test_set in sorted({part for run in best.dataset.runs for part in run.parts[len(PARTS) :]}):
            runs = {run.run_id: run for candidate in best.candidates for run in _single_runs(candidate)}
            answers = read_answers(runs.values(), reader, test_set).with_metric(best.metric)
            evaluated += _evaluated(best, test_set, answers)
    evaluated.sort(key=lambda result: (result.test_set, result.dataset.name, not result.is_recommended))
    return evaluated


def _evaluated(best: Recommended, test_set: Part, answers: Answers) -> list[ExternalResult]:
    """All networks, best first; then the linear baseline of the ranking, the references, and what is recommended."""
    untrained = [each for each in best.candidates if each.kind in ("lexicon", "majority")]
    networks = [each for each in best.candidates if each.kind == "network"]
    references = {each.kind: _group(answers, each) for each in reversed([best.baseline, *untrained])}
    evaluated = dict.fromkeys([*networks, best.alternative, best.baseline, *untrained, best.model])
    designs = {kind: _design(best.dataset, test_set, networks, kind) for kind in {each.kind for each in evaluated}}
    results = {}
    claims: dict[tuple[Candidate, PredictorKind], Claim] = {}
    for candidate in evaluated:
        design = designs[candidate.kind]
        group = _group(answers, candidate)
        score = answers.score(design, group)
        recall = answers.with_metric("macro_recall").score(design, group)
        if score and recall:
            results[candidate] = ExternalResult(test_set, best, candidate, score, recall.value)
            for reference in _COMPARED_WITH.get(candidate.kind, ()):
                if reference in references:
                    claims[candidate, reference] = Claim(group, references[reference], design)
    for (candidate, reference), difference in decided(claims, answers).items():
        results[candidate].differences[reference] = difference
    return [*results.values()]


def _single_runs(candidate: Candidate) -> list[EvaluatedRun]:
    """The runs of a predictor, each fold of a cross-validation by itself."""
    return [EvaluatedRun.of(fold) for run in candidate.runs for fold in run.trained]


def _group(answers: Answers, candidate: Candidate) -> Group:
    """A predictor by its training sets: of each, all seeds, or one of a predictor without seeds."""
    by_training_set: dict[int | None, list[EvaluatedRun]] = defaultdict(list)
    for run in answers.readable(_single_runs(candidate)):
        by_training_set[run.config.data.fold].append(run)
    return Group([*by_training_set.values()], candidate.kind)


def _design(dataset: Dataset, test_set: Part, networks: Sequence[Candidate], kind: PredictorKind) -> Design:
    """Over training sets, which are matched by fold; over seeds; or of two trained models."""
    if dataset.folds:
        return Matched(overlap=True)
    seeds = [[run for run in network.runs if test_set in run.parts] for network in networks]
    return design_of([runs for runs in seeds if runs], kind, dataset.metric, test_set)
