"""The first screen: which predictor to use, how certain that is, what it was trained on, and all in one ranking."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from report.compare.added import AddedPredictor
from report.compare.datasets import Configuration, trained_on_most
from report.compare.findings import Findings
from report.compare.ranking import Candidate, Ranked, Recommended
from report.read import Study
from report.render.blocks import Block
from report.sections import names
from report.sections.models import worse_than_the_lexicon
from sentiment.answers.table import ENOUGH_ANSWERS
from sentiment.blocks.content import Bullets, DataTable, Text
from sentiment.blocks.predictors import score_sentence
from sentiment.blocks.wording import capital, joined, listing, strong
from sentiment.console import plural
from sentiment.statistics import words

_NOT_COMPARED = "It could not be compared with others: their predictions are missing."
_NOTHING_YET = "There is no recommendation yet: no run is completed, or none of a whole cross-validation."


def answer(findings: Findings, ranking: Sequence[DataTable], further: Sequence[Markup] = ()) -> list[Block]:
    """The recommendation with its uncertainty and training size, further answers, caveats, and the ranking."""
    best = findings.recommended
    if not findings.study.runs:  # only tables with answers
        return []
    content: list[Block] = [Text(strong(_NOTHING_YET))]
    if best:
        content = [Text(headline(best), "lead")]
        content += [] if best.added_winner else [Text(f"Trained on {best.run.trained_on_in_words}.")]
        content += [Text(strong(text)) for text in worse_than_the_lexicon(findings)]
    content += map(Text, further)
    if limitations := caveats(findings):
        content.append(Bullets(limitations))
    return [*content, *ranking]


def headline(best: Recommended) -> Markup:
    """Which predictor to use, its score, and a sentence on it and the linear baseline, or the best trained model."""
    winner = best.added_winner
    name = f"{winner.name} (added predictor)" if winner else _short_name(best.model)
    statements: list[Any] = [strong(f"Use {name}.")]
    settings = names.settings_in_words(best.model.settings)
    if settings and not winner:
        statements.append(f"{capital(', '.join(settings))}.")
    statements.append(f"{score_sentence(best.test_score(winner or best.model), best.metric)}.")
    if winner:
        statements += [pair_sentence(best, winner, best.model)] if winner in best.differences else []
        statements.append("It is shown to be better on validation tweets, which select it.")
        return joined(statements)
    difference = best.differences.get(best.rival)
    statements.append(pair_sentence(best, best.model, best.rival) if difference else _NOT_COMPARED)
    if difference and difference.is_better:
        statements.append("Models are selected on validation tweets, which do not show this.")
    return joined(statements)


def pair_sentence(best: Recommended, first: Ranked, second: Ranked) -> str:
    """What is said of the model to use and another predictor, in this order or the other one."""
    is_first = first is best.model
    difference = best.differences[second if is_first else first]
    shown = difference.reversed if is_first else difference
    sides = names.subject(first, best), names.subject(second, best)
    return words.pair_sentence(*sides, shown, best.dataset.metric_name)


def _short_name(candidate: Candidate) -> str:
    """The name of a model without settings beside the architecture."""
    name = names.model_name(candidate.configuration.config)
    short = {"baseline": "the linear baseline", "both": f"the mean of both ({name} and the linear baseline)"}
    return short.get(candidate.kind, name)


def caveats(findings: Findings) -> list[str]:
    """One sentence per limitation of the recommendation."""
    limitations = _of_runs(findings.study)
    best = findings.recommended
    if best is None:
        return limitations
    limitations += [*_of_added(best), *_of_lexicon(best), *_of_configurations(best.dataset.configurations)]
    if len(findings.datasets) > 1:
        several = f"The runs use {len(findings.datasets)} different test sets, which cannot be compared"
        chosen = f"this recommendation is for {best.dataset.name}, and none of the others is larger"
        limitations.append(f"{several}; {chosen}.")
    return limitations


def _of_runs(study: Study) -> list[str]:
    """Which runs are compared with none, and which have no result."""
    limitations = []
    if study.single_folds:
        folds = f"{len(study.single_folds):,}"
        limitations.append(f"Runs of cross-validations that lack a fold, which are compared with no other: {folds}.")
    states = Counter(run.state.state for run in names.unfinished(study.runs))
    if states:
        counts = [f"{number:,} {names.state_name(state)}" for state, number in states.most_common()]
        limitations.append(f"{names.unfinished_sentence(study.runs)}: {listing(counts)}.")
    return limitations


def _of_added(best: Recommended) -> list[str]:
    """What is not known of an added predictor that is recommended; or why one that seems better is not."""
    if best.added_winner:
        record = best.added_winner.record
        file = f"{record.file} (SHA-256 {record.file_sha256[:12]})"
        return [
            f"An added predictor cannot be rerun from this project: its predictions are those of {file}. "
            "It may have seen the test tweets during its own training."
        ]
    limitations = []
    for added in best.added:
        difference = best.differences.get(added)
        if difference and difference.is_better:
            reason = f"because {_why_not(best, added)}, and test tweets alone select no model"
            limitations.append(f"{pair_sentence(best, added, best.model)} It is not recommended {reason}.")
    return limitations


def _why_not(best: Recommended, added: AddedPredictor) -> str:
    if best.dataset.folds:
        return "the validation tweets of each fold are test tweets of another one"
    if added.score is None:
        answered = f"{added.validation_answers:,} validation and {added.metrics.n:,} test tweets"
        return f"it has answered {answered}, and {ENOUGH_ANSWERS} of each are needed"
    return "it is not shown to be better on validation tweets"


def _of_lexicon(best: Recommended) -> list[str]:
    """That the lexicon has more of the test tweets right than the model to use, if it has."""
    for candidate in best.candidates:
        difference = best.differences.get(candidate)
        if candidate.kind == "lexicon" and difference and difference.value > 0 and not best.added_winner:
            return [f"{pair_sentence(best, candidate, best.model)} It is only a reference."]
    return []


def _of_configurations(configurations: Sequence[Configuration]) -> list[str]:
    """Which configurations may not be recommended: by their seeds, their predictions, and their training tweets."""
    limitations = []
    eligible = [each for each in trained_on_most(configurations) if each.only_label is None]
    single = sum(len(each.runs) == 1 for each in eligible)
    if single and single == len(eligible):
        limitations.append("No configuration has several seeds; results may change with another seed.")
    elif single:
        of_all = f"{single:,} of {len(eligible):,}"
        limitations.append(f"Configurations with a single seed, whose score may be luck: {of_all} (not eligible).")
    constant = [names.configuration_name(each) for each in configurations if each.only_label]
    if constant:
        remark = " (not eligible)" if eligible else ""
        others = f" and {plural(len(constant) - 1, 'other')}" if constant[1:] else ""
        limitations.append(
            f"Networks that predict the same class for every validation tweet{remark}: {constant[0]}{others}."
        )
    fewer = sum(each.only_label is None and each not in eligible for each in configurations)
    if fewer:
        limitations.append(f"Configurations that were trained on fewer labelled tweets: {fewer:,} (not eligible).")
    return limitations
