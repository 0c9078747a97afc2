"""Hypotheses that were stated before the runs: what the report says about them."""

import csv
import io
import re
from typing import Any

import numpy as np
import pytest

from report.build import compose
from report.compare.hypotheses import Verdict, judge
from report.render.page import as_csv, render_document
from sentiment.runs.hypotheses import Hypothesis, StatedHypothesis, mistakes_of
from sentiment.statistics.estimate import StandardError, StudentEvidence
from sentiment.statistics.power import power_of_hypotheses
from sentiment.statistics.regions import RegionClaim
from tests.invented import combinations
from tests.report.made_up import Study

EARLY = "2000-12-31T00:00:00+00:00"
SEEDS = [1, 2, 3]
LISTED = {"model.cell": ["lstm", "gru"], "model.hidden_size": [16, 64, 256], "model.layers": [1, 2], "seed": [1, 2]}


def cell(**relation: Any) -> dict[str, Any]:
    return {"setting": "model.cell", "values": "gru", **relation}


BETTER = cell(better_than="lstm")
EQUAL = cell(as_good_as="lstm", within=1)


def hypothesis(values: dict[str, Any], claim: str = "A claim.") -> Hypothesis:
    return Hypothesis.model_validate({"claim": claim} | values)


def stated(*hypotheses: dict[str, Any], results: int = 0) -> list[StatedHypothesis]:
    return [
        StatedHypothesis(hypothesis=hypothesis(values, f"Claim {number}."), stated_at=EARLY, results=results)
        for number, values in enumerate(hypotheses)
    ]


def judged(study: Study) -> list[Verdict]:
    findings = study.findings()
    return judge(findings.study, findings.answers)


def verdicts(study: Study, stated: list[StatedHypothesis], gru: float, seeds: list[int] = SEEDS) -> list[Verdict]:
    """The verdicts on a grid of two cells; a GRU has the skill `gru`, an LSTM 1."""
    runs = combinations({"model.cell": ["lstm", "gru"], "seed": seeds})
    for config in study.write_grid("cells", "Which?", runs, hypotheses=stated):
        study.complete(config, "cells", skill=gru if config.model.cell == "gru" else 1.0)
    return judged(study)


@pytest.mark.parametrize(
    ("values", "region"),
    [
        (BETTER, (0, np.inf)),
        (cell(worse_than="lstm"), (-np.inf, 0)),
        (EQUAL, (-0.01, 0.01)),
        (cell(no_better_than="lstm", within=2), (-np.inf, 0.02)),
        (cell(better_than="lstm", measure="epochs"), (-np.inf, 0)),
        (cell(worse_than="lstm", measure="overfitting"), (0, np.inf)),
        (cell(no_better_than="lstm", within=2, measure="epochs"), (-2, np.inf)),
    ],
)
def test_region_of_a_hypothesis_knows_that_few_epochs_and_little_overfitting_are_good(
    values: dict[str, Any], region: tuple[float, float]
) -> None:
    assert hypothesis(values).region == pytest.approx(region)


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({"setting": "model.cell", "values": "gru"}, "needs exactly one of better_than"),
        (cell(better_than="lstm", worse_than="lstm"), "it has better_than and worse_than"),
        (cell(as_good_as="lstm"), "as_good_as needs `within`"),
        (cell(better_than="lstm", within=1), "better_than takes no `within`"),
        ({"better_than": ["lstm"]}, "because no setting is given"),
        ({"setting": "model.cell", "better_than": "lstm"}, "setting and values are given together"),
        ({"better_than": {"grid": "rnn", "model": "baseline"}}, "takes `grid: NAME` or `model: baseline`"),
        ({"better_than": {"model": "baseline"}, "measure": "epochs"}, "the linear baseline has no epochs"),
    ],
)
def test_incomplete_hypothesis_is_refused(values: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        hypothesis(values)


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        (cell(better_than="lstn"), "model.cell has no value 'lstn' in this grid; it has lstm, gru"),
        (
            {"setting": "model.cel", "values": "gru", "better_than": "lstm"},
            "'model.cel' is none of the grid's parameters",
        ),
        (cell(better_than=["lstm", "gru"]), "'gru' stands on both sides"),
        ({"setting": "seed", "values": 1, "better_than": 2}, "setting 'seed' is none whose values can be compared"),
        ({"setting": "model.layers", "values": True, "better_than": 2}, "has no value True"),
        ({"better_than": {"grid": "mine"}}, "the other grid is this one"),
    ],
)
def test_hypothesis_about_what_a_grid_has_not_is_refused(values: dict[str, Any], mistake: str) -> None:
    (line,) = mistakes_of("mine", [hypothesis(values)], LISTED)
    assert line.startswith("hypothesis 'A claim.': ")
    assert mistake in line


def test_claim_that_is_stated_twice_is_refused() -> None:
    assert mistakes_of("mine", [hypothesis(BETTER, "first"), hypothesis(EQUAL, "second")], LISTED) == []
    assert mistakes_of("mine", [hypothesis(BETTER), hypothesis(EQUAL)], LISTED) == [
        "hypothesis 'A claim.' is stated 2 times"
    ]


def test_hypothesis_about_values_that_set_has_removed_is_about_those_left() -> None:
    wide = hypothesis({"setting": "model.hidden_size", "values": [16, 64], "better_than": [256]})
    fewer = wide.restricted({"model.hidden_size": [16, 256]})
    assert (fewer.values, fewer.other) == ((16,), (256,))
    assert wide.restricted({"model.hidden_size": [16, 64]}) is None


def test_hypothesis_is_shown_if_its_interval_lies_in_its_region_and_false_if_it_lies_outside(study: Study) -> None:
    of_all = stated(
        BETTER,
        EQUAL,
        cell(no_better_than="lstm", within=60),
        {"better_than": {"model": "baseline"}},
        cell(better_than="lstm", measure="overfitting"),
    )
    found = verdicts(study, of_all, gru=4.0)
    assert [verdict.outcome for verdict in found] == ["shown", "shown to be false", "shown", "shown", "shown"]
    levels = [verdict.difference.level for verdict in found if verdict.difference]
    assert levels == pytest.approx([0.9, 0.9, 0.9, 0.925, 0.9])  # all are decided; the first of the fourth is of two
    assert [verdict.n_runs for verdict in found] == [(3, 3)] * 3 + [(3, 1), (3, 3)]


def test_equality_which_has_two_outsides_is_false_by_half_the_error_on_each() -> None:
    evidence = StudentEvidence(0.0287, 100, StandardError(0.01, 1e6))  # 90 % from .0123 on, 95 % from .0091 on
    regions = [hypothesis(cell(within=1, **{relation: "lstm"})).region for relation in ("as_good_as", "no_better_than")]
    outcomes = [RegionClaim(evidence, *region).decided(0.05).outcome for region in regions]
    assert outcomes == ["open", "shown to be false"]


def test_open_hypothesis_says_what_the_same_runs_would_show(study: Study) -> None:
    better, equal = verdicts(study, stated(BETTER, EQUAL), gru=1.0)
    assert [better.outcome, equal.outcome] == ["open", "open"]
    assert equal.could_show == pytest.approx(max(-equal.difference.low, equal.difference.high))
    text = study.text()
    assert f"GRU \u2212 LSTM (margin {equal.hypothesis.within:g})" in text
    (margin,) = re.findall(r"open \(within (\d+\.\d) points it would be shown\)", text)
    (distance,) = re.findall(r"open \((\d+\.\d) points would have shown it\)", text)
    assert 0 <= float(distance) / 100 - better.could_show < 0.001
    wider = stated(BETTER, cell(as_good_as="lstm", within=float(margin)))
    assert [verdict.outcome for verdict in verdicts(study, wider, gru=1.0)] == ["open", "shown"]


def test_hypotheses_of_a_grid_are_a_family_and_those_added_later_another(study: Study) -> None:
    in_time = verdicts(study, stated(BETTER, EQUAL), gru=1.0)
    with_late = verdicts(study, [*stated(BETTER, EQUAL), *stated(cell(worse_than="lstm"), results=1)], gru=1.0)
    assert [verdict.difference for verdict in with_late[:2]] == [verdict.difference for verdict in in_time]
    assert [verdict.is_late for verdict in with_late] == [False, False, True]
    assert "open (added later; " in study.text()


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("embedding.pretrained", ["none", "word2vec"]),
        ("embedding.pretrained", ["./glove.txt", "word2vec"]),
        ("training.clip", [1, 10]),
        ("model.attention.r", [3, 5]),
    ],
)
def test_value_is_stated_as_the_file_of_the_grid_writes_it(study: Study, setting: str, values: list[Any]) -> None:
    claims = stated({"setting": setting, "values": values[1], "better_than": values[0]})
    runs = combinations({"model.pooling": ["mean", "attention"], setting: values, "seed": SEEDS})
    for config in study.write_grid("some", "Which?", runs, hypotheses=claims):
        if not study.run_dir(config, "some").completed:
            study.complete(config, "some")
    plan = study.results.read_grid("some")
    (verdict,) = judged(study)
    assert (verdict.problem, verdict.difference is None) == ("", False)
    configs = [run.config for run in study.findings().study.completed]
    (_, told) = power_of_hypotheses(plan, configs, [50, 50])
    assert "a side has no runs" not in told


def test_groups_of_values_are_compared_where_all_their_values_are_there(study: Study) -> None:
    groups = stated({"setting": "model.hidden_size", "values": [16, 32], "better_than": [128]})
    runs = combinations({"model.cell": ["lstm", "gru"], "model.hidden_size": [16, 32, 128], "seed": SEEDS})
    configs = study.write_grid("widths", "Which?", runs, hypotheses=groups)
    for config in configs:
        if (config.model.cell, config.model.hidden_size) != ("gru", 32):
            study.complete(config, "widths", skill=1.0 if config.model.hidden_size == 128 else 3.0)
    (verdict,) = judged(study)
    assert verdict.n_runs == (6, 3)  # no GRU of 32 units, so that no GRU counts
    assert verdict.outcome == "shown"
    for config in configs:
        if config.model.hidden_size == 32 and config.model.cell == "lstm":
            (study.run_dir(config, "widths").result_file).unlink()
    (verdict,) = judged(study)
    assert verdict.problem == "no runs with all of these values differ in this setting alone"


def test_grid_on_several_data_sets_decides_nothing(study: Study) -> None:
    runs = combinations({"data.test_fraction": [0.1, 0.2], "model.cell": ["lstm", "gru"], "seed": SEEDS})
    for config in study.write_grid(
        "cells", "Which?", runs, hypotheses=stated(BETTER, {"better_than": {"model": "baseline"}})
    ):
        study.complete(config, "cells")
    problem = "the runs of a grid were tested on several data sets"
    assert [verdict.problem for verdict in judged(study)] == [problem] * 2


def test_end_of_an_interval_is_divided_for_the_configurations_whose_best_one_can_move_it_past_the_truth(
    study: Study,
) -> None:
    for name, skill, hypotheses in (("rnn", 1.0, []), ("elmo", 9.0, stated({"better_than": {"grid": "rnn"}}))):
        kind = {"model.pooling": ["last"]} if name == "elmo" else {"model.cell": ["lstm", "gru"]}
        runs = combinations(kind | {"model.hidden_size": [16, 64], "seed": SEEDS})
        for config in study.write_grid(name, "Which?", runs, hypotheses=hypotheses):
            study.complete(config, name, skill=skill)
    (verdict,) = judged(study)
    assert verdict.outcome == "shown"
    assert verdict.difference.level == pytest.approx(1 - 0.05 / 2 - 0.05 / 4)
    value = verdict.difference.value
    assert value - verdict.difference.low < verdict.difference.high - value


@pytest.mark.parametrize(
    ("parameters", "record", "measure"),
    [
        ({"model.hidden_size": [16]}, {"table_sha256": "e" * 64}, "score"),  # on an edited table
        ({"data.test_fraction": [0.2]}, {}, "epochs"),
        ({"data.folds": [2], "data.fold": [1, 2]}, {}, "score"),
    ],
)
def test_best_configurations_of_grids_on_different_data_decide_nothing(
    study: Study, parameters: dict[str, list[Any]], record: dict[str, Any], measure: str
) -> None:
    about = stated({"better_than": {"grid": "rnn"}, "measure": measure})
    for config in study.write_grid("rnn", "Which?", combinations({"seed": SEEDS})):
        study.complete(config, "rnn")
    for config in study.write_grid("mine", "Which?", combinations(parameters | {"seed": SEEDS}), hypotheses=about):
        study.complete(config, "mine", skill=9.0, **record)
    (verdict,) = judged(study)
    assert (verdict.outcome, verdict.problem) == ("open", "the two sides were not tested on the same tweets")


def test_configuration_that_is_the_best_of_both_grids_is_not_compared_with_itself(study: Study) -> None:
    about = stated({"as_good_as": {"grid": "rnn"}, "within": 90})
    for name, hypotheses in (("rnn", []), ("mine", about)):
        for config in study.write_grid(name, "Which?", combinations({"seed": SEEDS}), hypotheses=hypotheses):
            study.complete(config, name)  # as `submit` copies a run that another grid has
    (verdict,) = judged(study)
    assert (verdict.outcome, verdict.problem) == ("open", "both sides are the same runs")


@pytest.mark.parametrize("data", ["sentiment140", "invented.csv"])
def test_hypotheses_are_linked_from_the_first_screen_and_say_that_the_tweets_are_others(
    study: Study, data: str
) -> None:
    runs = combinations({"model.cell": ["lstm", "gru"], "seed": SEEDS})
    finding = stated(EQUAL | {"published": "They hardly differ & 1 % | more"}, {"better_than": {"grid": "elsewhere"}})
    replicates = {"data": data, "source": "https://example.org/study"}
    for config in study.write_grid("cells", "Which?", runs, hypotheses=finding, replicates=replicates):
        study.complete(config, "cells")
    findings = study.findings()
    report = compose(findings)
    text = study.text()
    assert "[table](#hypotheses)" in text.partition("## Hypotheses")[0]
    assert any(section.title == "Hypotheses" for section in report.sections)
    assert ("These runs are on other tweets: " in text) == (data == "sentiment140")
    table = next(block for block in report.blocks if getattr(block, "name", "") == "hypotheses")
    row, not_compared = csv.DictReader(io.StringIO(as_csv(table)))
    assert not_compared["verdict"] == "open (grid elsewhere is not in this report)"
    assert row["published"] == "They hardly differ & 1 % | more"
    assert row["outcome"] == "open"
    assert row["unit"] == "share"
    document = next(document for document in report.documents if document.path == "tables/hypotheses.tex")
    assert r"They hardly differ \& 1 \%" in render_document(document)
