"""What is compared with what: matched runs, tweets that all of them have, folds as one run, further test sets."""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from report.build import compose
from report.compare.cost import cost_per_run, usage_of
from report.compare.findings import Findings
from report.compare.matching import matched_runs, pool_folds, varying
from report.compare.test_sets import ExternalResult
from report.designs import Seeds, Side, TwoModels, pooled_variance
from report.evaluated import CrossValidated, EvaluatedRun, read_test
from report.questions.labels import label_curves
from report.questions.settings import effects_of, grid_effects
from report.read import load_study
from report.render.blocks import Explorer, Fold, Table, Text
from report.render.wording import read_texts
from report.sections.answer import answer
from report.sections.models import check_list, external_test_sets, published_figures, worse_than_the_lexicon
from report.sections.names import configuration_name, predict_command
from report.sections.runs import runs as runs_section
from report.statistics import Difference, PairedEvidence, corrected
from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.runs.records import DEFAULT_THRESHOLD, Result
from sentiment.runs.run_dir import Results, RunDir
from tests.report.made_up import PARTS, Study, attempt, tables_of
from tests.report.studies import combinations

_EMPTIED = 7
FOLDS, SEEDS = [1, 2, 3], [1, 2]


def _completed(study: Study, runs: list[dict[str, Any]]) -> list[EvaluatedRun]:
    for config in study.write_grid("grid", "Which?", runs):
        study.complete(config, "grid")
    return load_study(study.results, []).grids[0].completed


def test_what_does_nothing_on_one_side_keeps_no_runs_apart(study: Study) -> None:
    alone, beside = {"elmo.model": "small", "elmo.combine": "alone"}, {"elmo.model": "small", "elmo.combine": "beside"}
    runs = _completed(study, [alone, beside | {"embedding.size": 16}])
    assert varying(runs) == ["elmo.combine"]
    assert matched_runs(runs, "elmo.combine", "alone", "beside") == [([runs[0]], [runs[1]])]


def test_run_that_lacks_a_setting_is_compared_with_all_of_its_values_together(study: Study) -> None:
    hops = [{"model.pooling": "attention", "model.attention.r": r} for r in (1, 5)]
    last, one, five = _completed(study, [{"model.pooling": "last"}, *hops])
    assert matched_runs([last, one, five], "model.pooling", "last", "attention") == [([last], [one, five])]


def _write_words(study: Study, seeds: list[int]) -> list[RunConfig]:
    """A net with stop words, and one without, for which seven test tweets become empty."""
    runs = combinations({"data.text.stop_words": ["none", "all"], "seed": seeds})
    configs = study.write_grid("words", "What do they add?", runs)
    for config in configs:
        is_removed = config.data.text.stop_words == "all"
        study.complete(config, "words", skill=0.4 if is_removed else 2.0, emptied=_EMPTIED if is_removed else 0)
    return configs


def _gap(study: Study, model: str = "network") -> Difference | None:
    findings = study.findings()
    (effect,) = [one for one in grid_effects(findings.study.grids[0], findings.answers) if one.model == model]
    (contrast,) = effect.contrasts
    assert {*contrast.best.values, *contrast.other.values} == {"none", "all"}
    return contrast.difference


def _rewrite(path: Path, column: str, values: pa.Array) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)


def test_nets_and_baselines_are_compared_on_the_tweets_that_both_have(study: Study) -> None:
    kept, removed = _write_words(study, [1])
    gap, of_baselines = _gap(study), _gap(study, "baseline")
    answers = study.findings().answers
    common = answers.known(removed.run_id)
    sides = [Side([answers.right(config.run_id)[common][None]]) for config in (kept, removed)]
    expected = TwoModels().difference(*sides)
    assert (gap.value, gap.p, gap.n) == (expected.value, expected.p, PARTS["test"] - _EMPTIED)
    assert (of_baselines.value, of_baselines.p, of_baselines.n) == (0.0, 1.0, PARTS["test"] - _EMPTIED)
    assert (gap.is_conditional, of_baselines.is_conditional) == (True, False)


def test_tweets_are_found_again_wherever_they_stand_and_without_their_corpus(study: Study) -> None:
    _, removed = _write_words(study, [1])
    before = _gap(study)
    path = study.run_dir(removed, "words").predictions_file
    table = pq.read_table(path)
    pq.write_table(table.take(np.random.default_rng(0).permutation(table.num_rows)), path)
    shutil.rmtree(study.results.corpora)
    assert _gap(study) == before


def test_tweet_with_another_label_is_another_tweet(study: Study) -> None:
    _, removed = _write_words(study, [1])
    run_dir = study.run_dir(removed, "words")
    first = PARTS["validation"] + 10
    labels = pq.read_table(run_dir.predictions_file)["label"].to_pylist()
    labels[first : first + 3] = [1 - label for label in labels[first : first + 3]]
    _rewrite(run_dir.predictions_file, "label", pa.array(labels, pa.int8()))
    result = run_dir.read(Result)
    accuracy = float(_right([run_dir], "test")["network"].mean())
    metrics = result.metrics | {"test": result.metrics["test"].model_copy(update={"accuracy": accuracy})}
    run_dir.write_record(result.model_copy(update={"scores": result.scores | {"network": metrics}}))
    assert _gap(study).n == PARTS["test"] - _EMPTIED - 3


def test_runs_on_other_tweets_are_not_compared(study: Study) -> None:
    _, removed = _write_words(study, [1])
    path = study.run_dir(removed, "words").predictions_file
    _rewrite(path, "tweet", pa.array(pq.read_table(path)["tweet"].to_numpy() + 1_000))
    assert (_gap(study), _gap(study, "baseline")) == (None, None)


def test_all_of_sentiment140_is_known_by_the_record(study: Study) -> None:
    study.single({"data.source": "training.1600000.csv"}, dataset="sentiment140")
    study.single({"data.source": "my-sentiment140-sample.csv"}, dataset="table")
    known = {dataset.name: dataset.source == "sentiment140" for dataset in study.findings().datasets}
    assert known == {"training.1600000.csv": True, "my-sentiment140-sample.csv": False}


@pytest.fixture
def folded(study: Study) -> Study:
    runs = combinations({"model.cell": ["lstm", "gru"], "seed": SEEDS, "data.folds": [3], "data.fold": FOLDS})
    for config in study.write_grid("small", "Which cell?", runs):
        study.complete(config, "small", skill=1.0 + 0.1 * (config.data.fold or 0) + 0.3 * (config.model.cell == "gru"))
    return study


def test_all_folds_of_a_configuration_and_seed_are_one_run_on_all_of_their_test_tweets(folded: Study) -> None:
    findings = folded.findings()
    (dataset,) = findings.datasets
    assert (dataset.folds, [len(one.runs) for one in dataset.configurations]) == (3, [2, 2])
    assert not findings.problems
    for run in dataset.runs:
        assert isinstance(run, CrossValidated)
        test, folds = run.metrics_on_test(), [fold.result for fold in run.folds]
        predictions = read_test(run)
        predicted = predictions.of("network").predicted
        assert test.n == 3 * PARTS["test"] == dataset.answers.known(run.run_id).sum() == len(predicted)
        assert test.macro_recall == pytest.approx(balanced_accuracy_score(predictions.labels, predicted))
        assert test.macro_f1 == pytest.approx(f1_score(predictions.labels, predicted, average="macro"))
        assert test.loss == pytest.approx(np.mean([fold.metrics["test"].loss for fold in folds]), abs=0.01)
        for kind in run.kinds:
            mean = np.mean([fold.scores[kind]["test"].accuracy for fold in folds])
            assert run.score("test", "accuracy", kind) == pytest.approx(mean)
        for metric in ("macro_recall", "macro_f1"):
            mean = np.mean([getattr(fold.metrics["validation"], metric) for fold in folds])
            assert run.score("validation", metric) == pytest.approx(mean)
    (effect,) = effects_of(findings.study.grids[0].completed, findings.answers)  # folds are no setting
    assert (effect.parameter, [len(value.runs) for value in effect.values]) == ("model.cell", [2, 2])


def test_each_fold_has_its_learning_curve_and_its_data_set_in_the_run_explorer(folded: Study) -> None:
    findings = folded.findings()
    assert findings.curves.keys() == {run.run_id for run in findings.study.runs}
    (explorer,) = [block for block in runs_section(findings) if isinstance(block, Explorer)]
    assert {row["data"] for row in explorer.data["runs"]} == {findings.datasets[0].name}


def test_each_fold_is_compared_in_the_run_explorer_by_the_answers_of_its_cross_validated_run(folded: Study) -> None:
    findings = folded.findings()
    (explorer,) = [block for block in runs_section(findings) if isinstance(block, Explorer)]
    assert explorer.data["folds"].keys() == {row["run"] for row in explorer.data["runs"]}
    assert {*explorer.data["folds"].values()} == {*explorer.data["answers"]["ids"]}


def test_check_list_in_the_report_is_a_mean_over_seeds_and_folds(folded: Study) -> None:
    findings = folded.findings()
    (table,) = check_list(findings)
    runs = findings.recommended.configuration.completed
    kinds = [*runs[0].result.check_list]
    right = [[fold.result.check_list[kind]["but"].right for fold in runs] for kind in kinds]
    assert len({*right[0]}) > 1
    assert [table.rows[0][kind] for kind in kinds] == pytest.approx([np.mean(one) for one in right])
    assert [row["sentences"] for row in table.rows] == [12, 14, 26]
    assert table.rows[2]["network"] == table.rows[0]["network"] + table.rows[1]["network"]


@pytest.mark.parametrize("what", ["missing", "damaged"])
def test_runs_stay_single_where_a_fold_is_missing_or_cannot_be_read(folded: Study, what: str) -> None:
    path = load_study(folded.results, []).grids[0].runs[0].run_dir.path
    (path / "result.json" if what == "missing" else path / "predictions.parquet").unlink()
    pooled = pool_folds(load_study(folded.results, []).grids[0].runs)
    assert Counter(len(run.fold_runs) for run in pooled) == {3: 3, 1: 2 if what == "missing" else 3}
    named = any("predictions.parquet" in problem for problem in folded.findings().problems)
    assert named == (what == "damaged")


def test_folds_of_other_training_tweets_are_compared_on_their_test_tweets(study: Study) -> None:
    runs = combinations({"data.train_rows": [10, 20], "seed": SEEDS, "data.folds": [2], "data.fold": [1, 2]})
    for config in study.write_grid("labels", "What is a label worth?", runs):
        study.complete(config, "labels", skill=float(config.data.train_rows or 0) / 10)
    findings = study.findings()
    (curve,) = label_curves(findings.study.grids[0], findings.answers, findings.counts)
    assert [point.difference.n for point in curve.points] == [2 * PARTS["test"]] * 2


TWO_SETS = {"manual": {"path": "more.csv"}, "airline": {"path": "sample"}}


def _write(
    study: Study, tests: Mapping[str, Any] = TWO_SETS, widths: Sequence[int] = (8, 16), seeds: int = 3
) -> list[RunDir]:
    data = {"data": {"source": "mine.csv", "tests": tests}}
    runs = combinations({"model.hidden_size": widths, "seed": range(1, seeds + 1)})
    return [study.complete(resolve(data, one, "a test"), skill=1 + one["model.hidden_size"] / 10) for one in runs]


def _study(folder: Path, skill: float = 1.0, tweets: int = 400, **options: Any) -> Study:
    parts = PARTS | {"manual": tweets, "airline": 90}
    return Study(Results(folder / "results"), parts, skills={"manual": skill}, **options)


def _of(findings: Findings, tests: str, kind: str) -> ExternalResult:
    return next(one for one in findings.external_results if (one.test_set, one.kind) == (tests, kind))


def _right(run_dirs: list[RunDir], tests: str) -> dict[str, Any]:
    """Which tweets each run, its baseline and the lexicon get right, read without the program's help."""
    tables = [pq.read_table(run_dir.predictions_file).to_pandas() for run_dir in run_dirs]
    tables = [table[table["part"] == tests] for table in tables]
    return {
        kind: np.stack([(table[f"{kind}_positive"] >= DEFAULT_THRESHOLD) == (table["label"] == 1) for table in tables])
        for kind in ("network", "baseline", "lexicon")
    }


def test_each_model_stands_on_each_test_set_with_the_one_comparison_corrected_together(tmp_path: Path) -> None:
    study = _study(tmp_path)
    run_dirs = _write(study, widths=(16,))
    findings = study.findings()
    assert [(one.test_set, one.kind) for one in findings.external_results] == [
        (tests, kind) for tests in ("airline", "manual") for kind in ("network", "baseline", "lexicon", "majority")
    ]
    assert not findings.problems
    assert [one.kind for one in findings.external_results if one.is_recommended] == ["network"] * 2
    for tests in ("airline", "manual"):
        right = _right(run_dirs, tests)
        for model, flags in right.items():
            assert _of(findings, tests, model).score.value == pytest.approx(flags.mean())
        nets = Side([right["network"]])
        baseline, lexicon = (Side([right[kind][:1]], has_seeds=False) for kind in ("baseline", "lexicon"))
        seed_variance = pooled_variance([right["network"].mean(axis=1)])
        of_nets = [Seeds(seed_variance).difference(nets, other) for other in (baseline, lexicon)]
        expected = corrected([*of_nets, TwoModels().difference(baseline, lexicon)])
        found = [gap for one in findings.external_results if one.test_set == tests for gap in one.differences.values()]
        assert [(gap.value, gap.q) for gap in found] == [pytest.approx((one.value, one.q)) for one in expected]


@pytest.mark.parametrize(("skill", "is_told"), [(-0.5, True), (0.35, False), (3.0, False)])
def test_first_screen_says_where_the_lexicon_is_shown_to_be_better(tmp_path: Path, skill: float, is_told: bool) -> None:
    study = _study(tmp_path, skill, tweets=120)
    _write(study)
    findings = study.findings()
    gap = _of(findings, "manual", "network").differences["lexicon"]
    assert (gap.value < 0, gap.is_significant and gap.value < 0) == (skill < 1, is_told)
    _, *others = (str(block.text) for block in answer(findings) if isinstance(block, Text))
    assert bool(worse_than_the_lexicon(findings)) == bool(others) == is_told
    assert all("manual (n = 120)" in text for text in others)


def test_what_is_told_is_about_what_predicts(tmp_path: Path) -> None:
    study = _study(tmp_path, skill=-3.0)
    for run_dir in _write(study, widths=(4,)):  # the nets are bad everywhere, so the baseline is recommended
        study.complete(run_dir.read_config(), skill=0.05)
    findings = study.findings()
    assert findings.recommended.recommended_model == "baseline"
    assert _of(findings, "manual", "baseline").is_recommended
    assert _of(findings, "manual", "network").differences["lexicon"].is_significant
    assert worse_than_the_lexicon(findings) == []


@pytest.mark.parametrize(("every", "is_significant"), [(2, False), (5, True)])
def test_macro_recall_is_shown_where_labels_are_unbalanced(tmp_path: Path, every: int, is_significant: bool) -> None:
    study = _study(tmp_path, every={"manual": every})
    run_dirs = _write(study, widths=(8,))
    findings = study.findings()
    table = tables_of(external_test_sets(findings))["test-sets"]
    assert ("Macro recall, %" in [column.title for column in table.columns]) == is_significant
    one = _of(findings, "manual", "network")
    right = _right(run_dirs, "manual")["network"]
    assert one.macro_recall == pytest.approx(np.mean([right[:, one.labels == label].mean() for label in (0, 1)]))


def test_each_fold_of_a_run_counts_on_the_whole_test_set(tmp_path: Path) -> None:
    study, data = _study(tmp_path), {"source": "mine.csv", "folds": 3, "tests": TWO_SETS}
    configs = [resolve({"data": data | {"fold": fold}}, {}, "a test") for fold in (1, 2, 3)]
    run_dirs = [study.complete(config, skill=1 + (config.data.fold or 0) / 10) for config in configs]
    net = _of(study.findings(), "manual", "network")
    right = _right(run_dirs, "manual")
    assert (len(net.labels), len(net.configuration.runs)) == (400, 1)
    assert net.score.value == pytest.approx(right["network"].mean())
    assert net.differences["lexicon"].value == pytest.approx(right["network"].mean() - right["lexicon"].mean())


def test_tweets_of_the_lexicons_authors_are_marked(tmp_path: Path) -> None:
    study = _study(tmp_path, skill=-3.0)
    _write(study, tests={"manual": {"path": "vader"}, "airline": {"path": "airline.csv"}})
    findings = study.findings()
    (told,) = worse_than_the_lexicon(findings)
    assert "by the authors of VADER" in told
    (text,) = (block.text for block in external_test_sets(findings) if isinstance(block, Text))
    assert text.startswith("manual: This data set was created by the authors of VADER")


def test_predictions_that_cannot_be_read_stop_nothing_and_many_nets_are_folded_away(tmp_path: Path) -> None:
    study = _study(tmp_path)
    first, *_ = _write(study, widths=range(4, 17), seeds=1)  # of which one is no more
    first.predictions_file.write_bytes(b"")
    findings = study.findings()
    assert any(str(first.predictions_file) in problem for problem in findings.problems)
    tables = tables_of(compose(findings).blocks)
    shown, rest = tables["test-sets"].rows, tables["test-sets-rest"].rows
    assert (len(shown), len(rest)) == (2 * (10 + 3), 2 * 2)
    assert [row["model"][0] for row in shown].count("\u2605") == 2


def test_published_scores_on_tweeteval_stand_beside_runs_on_it_alone(tmp_path: Path) -> None:
    study = _study(tmp_path)
    config = resolve({"data": {"source": "mine.csv"}}, {}, "a test")
    study.complete(config, dataset="tweeteval")
    table = published_figures(study.findings())
    assert isinstance(table, Table)
    assert len(table.rows) == len(read_texts("published")["tweeteval"])
    assert {column.key for column in table.columns} == {"model", "macro_recall"}
    study.complete(config.model_copy(update={"seed": 2}), dataset="table")
    assert isinstance(published_figures(study.findings()), Fold)


def test_cross_validated_run_costs_all_of_its_folds_and_is_none_of_them(study: Study) -> None:
    runs = combinations({"data.folds": [5], "data.fold": [1, 2, 3, 4, 5]})
    for config in study.write_grid("folds", "How well?", runs):
        fold = config.data.fold or 0
        attempts = [attempt(reason="deadline")] * (fold - 1) + [attempt()]
        # The first fold's network is worse than its baseline, those of the others are far better.
        run_dir = study.complete(config, "folds", skill=0.3 if fold == 1 else 3.0, attempts=attempts)
        result = run_dir.read(Result)
        changes = {"best_epoch": 1 if fold == 1 else 4, "epochs": fold, "seconds_trained": 10.0 * fold}
        run_dir.write_record(result.model_copy(update=changes))
    findings = study.findings()
    (configuration,) = findings.main.configurations
    (run,) = configuration.runs
    recommended = [fold.recommended for fold in run.fold_runs]
    assert (recommended[0], {*recommended[1:]}) == ("baseline", {"network"})
    assert run.recommended == findings.recommended.recommended_model != "baseline"
    assert predict_command(run).endswith(f"--with {run.recommended}")  # the first fold recommends another
    assert usage_of(configuration.completed).attempts == 15
    assert cost_per_run(configuration).cpu == 15 * 90
    assert (run.best_epoch, run.seconds_per_epoch) == (pytest.approx(17 / 5), pytest.approx(10.0))
    assert not findings.recommended.gain.is_conditional


def test_folds_are_matched_on_further_test_sets_and_seeds_lie_within_them(tmp_path: Path) -> None:
    study, data = _study(tmp_path), {"source": "mine.csv", "folds": 3, "tests": TWO_SETS}
    run_dirs = []
    for fold, seed in product((1, 2, 3), (1, 2)):
        config = resolve({"data": data | {"fold": fold}}, {"seed": seed}, "a test")
        run_dirs.append(study.complete(config, skill=1 + fold / 10, linear=0.8 + fold / 10))
    net = _of(study.findings(), "manual", "network")
    right = _right(run_dirs, "manual")
    by_fold = right["network"].reshape(3, 2, -1).mean(axis=1)
    gaps = by_fold - right["baseline"][::2]
    evidence = net.differences["baseline"].evidence
    assert evidence.value == pytest.approx(gaps.mean())
    assert evidence.replicates == ((pytest.approx(gaps.mean(axis=1).var(ddof=1) / 3), 2),)


def _edited(study: Study) -> None:
    """Two seeds of two cells on a table, and two further ones after an edit of it."""
    runs = combinations({"model.cell": ["lstm", "gru"], "seed": [1, 2, 3, 4]})
    for config in study.write_grid("cells", "Which cell?", runs):
        is_new = config.seed > 2
        table = ("b" if is_new else "a") * 64
        skill = (2.5 if is_new else 0.5) + 0.1 * config.seed
        study.complete(config, "cells", skill=skill, table_sha256=table, data_fingerprint=table)


def test_runs_of_an_edited_table_are_another_data_set(study: Study) -> None:
    _edited(study)
    findings = study.findings()
    assert sorted(dataset.name for dataset in findings.datasets) == [
        f"invented.csv, version {letter * 8}" for letter in "ab"
    ]
    assert {len(one.runs) for dataset in findings.datasets for one in dataset.configurations} == {2}
    effects = grid_effects(findings.study.grids[0], findings.answers)
    assert [(len(effect.values[0].runs), effect.data[-8:]) for effect in effects] == [(2, "a" * 8), (2, "b" * 8)]
    assert "A version is that of a table that was edited between runs" in study.text()


def test_seeds_on_other_training_tweets_are_another_configuration(study: Study) -> None:
    for seed, fingerprint in ((1, "a"), (2, "a"), (3, "b")):  # a further training table was edited
        study.single({"seed": seed}, skill=1.0 + seed / 10, data_fingerprint=fingerprint * 64)
    (dataset,) = study.findings().datasets
    assert sorted(len(one.runs) for one in dataset.configurations) == [1, 2]
    versions = {configuration_name(one).rpartition(", ")[2] for one in dataset.configurations}
    assert versions == {"data version aaaaaaaa", "data version bbbbbbbb"}


def test_effect_on_baselines_is_that_of_all_matched_configurations(study: Study) -> None:
    runs = combinations({"data.text.stop_words": ["none", "all"], "data.text.lowercase": [True, False]})
    for config in study.write_grid("cleaning", "What helps?", runs):
        text = config.data.text
        is_better = (text.stop_words == "none") == text.lowercase
        study.complete(config, "cleaning", linear=3.0 if is_better else 0.3)
    findings = study.findings()
    (effect,) = [
        one
        for one in grid_effects(findings.study.grids[0], findings.answers)
        if (one.model, one.parameter) == ("baseline", "data.text.stop_words")
    ]
    (contrast,) = effect.contrasts
    assert contrast.difference.value == pytest.approx(contrast.best.score - contrast.other.score)
    assert not contrast.difference.is_significant


def test_baselines_that_answer_alike_are_one_pair(study: Study) -> None:
    runs = combinations({"data.text.stop_words": ["none", "all"], "model.cell": ["lstm", "gru"]})
    for config in study.write_grid("cleaning", "What helps?", runs):
        study.complete(config, "cleaning", linear=2.0 if config.data.text.stop_words == "none" else 0.3)
    findings = study.findings()
    effects = grid_effects(findings.study.grids[0], findings.answers)
    (contrast,) = [contrast for effect in effects if effect.model == "baseline" for contrast in effect.contrasts]
    assert isinstance(contrast.difference.evidence, PairedEvidence)
    assert (contrast.difference.is_significant, contrast.difference.is_conditional) == (True, False)


def test_runs_that_cannot_be_read_are_not_counted_as_compared(study: Study) -> None:
    runs = combinations({"model.cell": ["lstm", "gru"], "seed": [1, 2, 3]})
    configs = study.write_grid("cells", "Which cell?", runs)
    for config in configs:
        study.complete(config, "cells", skill=1 + (config.model.cell == "gru"))
    for readable in (1, 0):
        for config in configs[readable:3]:
            study.run_dir(config, "cells").predictions_file.unlink(missing_ok=True)
        findings = study.findings()
        (effect,) = grid_effects(findings.study.grids[0], findings.answers)
        (contrast,) = effect.contrasts
        assert (contrast.best.values, contrast.n_runs) == (("gru",), (3, 1) if readable else (0, 0))
        assert (contrast.difference is None) == (readable == 0)
    unread = next(one for one in findings.main.configurations if one.config.model.cell == "lstm")
    assert findings.main.score(unread).n == PARTS["test"]


def test_grids_before_and_after_an_edit_may_have_runs_of_one_id(study: Study) -> None:
    runs = combinations({"seed": [1, 2]})
    for grid, table, skill in (("old", "a" * 64, 0.3), ("new", "b" * 64, 3.0)):
        for config in study.write_grid(grid, "How well?", runs):
            study.complete(config, grid, skill=skill, table_sha256=table, data_fingerprint=table)
    findings = study.findings()
    assert len({run.run_id for run in findings.study.runs}) == 4
    for dataset in findings.datasets:
        (configuration,) = dataset.configurations
        assert dataset.score(configuration).value == pytest.approx(configuration.mean("test", "accuracy"))
