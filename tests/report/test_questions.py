"""The questions: what a setting changes, what a label is worth, what a search finds and its rungs save."""

import itertools
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import scipy.stats

import report.questions.search as search_module
from report.compare.findings import analyse
from report.questions.attention import attention_contrasts
from report.questions.labels import LabelCurve, label_curves, labels
from report.questions.search import SearchTrials, expected_best, importances, rank_correlation, search, trial_points
from report.questions.settings import Effect, effects_of, grid_effects
from report.read import load_study
from report.render.charts import Trial, parallel_figure
from report.render.wording import Score
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import RankedTrial, RungRanking
from tests.report.made_up import PARTS, Study, read_table, rows_with
from tests.report.studies import DROPOUTS, LABELS, RATES, combinations, write_halved, write_labels

_CELLS = combinations({"model.cell": ["lstm", "gru"], "seed": [1, 2, 3]})


def _effects(study: Study, runs: list[dict[str, Any]], skills: list[float]) -> list[Effect]:
    for config, skill in zip(study.write_grid("grid", "Which?", runs), skills, strict=True):
        study.complete(config, "grid", skill=skill)
    findings = study.findings()
    return effects_of(findings.study.grids[0].completed, findings.answers)


def test_runs_in_which_a_setting_does_nothing_have_no_say_about_it(study: Study) -> None:
    hops = [{"model.pooling": "attention", "model.attention.r": r} for r in (1, 5)]
    effects = _effects(study, [{"model.pooling": "last"}, *hops], [0.5, 0.8, 1.1])
    (hop,) = [one for one in effects if one.parameter == "model.attention.r"]
    assert [(value.values, len(value.runs)) for value in hop.values] == [((1,), 1), ((5,), 1)]


def test_best_value_is_chosen_on_validation_tweets_whatever_test_tweets_say(tmp_path: Path) -> None:
    turned = Study(Results(tmp_path / "results"), turned=True)  # what is better there is worse on test tweets
    (effect,) = _effects(turned, _CELLS, [0.5, 0.5, 0.5, 2.0, 2.0, 2.0])
    (contrast,) = effect.contrasts
    assert contrast.best.values == ("gru",)
    assert contrast.difference.value < 0
    assert effect.sentence.startswith("Best on validation tweets: GRU; it is significantly worse than LSTM (\u2212")


@pytest.mark.parametrize("named", ["its plan", "early stopping"])
def test_grid_chosen_by_macro_recall_is_compared_by_it(tmp_path: Path, named: str) -> None:
    study = Study(Results(tmp_path / "results"), every={"test": 6})
    stopping = {"training.early_stopping.metric": "macro_recall"} if named == "early stopping" else {}
    plan = {"metric": "validation/macro_recall"} if named == "its plan" else {}
    configs = study.write_grid("grid", "Which?", [cell | stopping for cell in _CELLS], **plan)
    for config, skill in zip(configs, [0.9, 0.91, 0.92, 1.3, 1.31, 1.32], strict=True):
        study.complete(config, "grid", skill=skill)
    findings = study.findings()
    ((contrast,),) = [effect.contrasts for effect in grid_effects(findings.study.grids[0], findings.answers)]
    values = (contrast.best, contrast.other)
    best, other = (fmean(run.metrics_on_test().macro_recall for run in value.runs) for value in values)
    assert contrast.difference.value == pytest.approx(best - other)
    advice = findings.recommended
    score = advice.dataset.score(advice.configuration, advice.alternative).value
    assert advice.gain.value == pytest.approx(score - advice.run.metrics_on_test("baseline").macro_recall)


def test_effect_counts_tweets_as_well_as_seeds(study: Study) -> None:
    (effect,) = _effects(study, _CELLS, [0.9, 0.91, 0.92, 1.0, 1.01, 1.02])
    (contrast,) = effect.contrasts
    assert (contrast.difference.n, contrast.n_runs, len(contrast.difference.evidence.components)) == (120, (3, 3), 3)
    assert contrast.difference.value == pytest.approx(contrast.best.score - contrast.other.score)
    farthest = max(abs(contrast.difference.low), abs(contrast.difference.high))
    distance = f"at most {100 * farthest:.1f} points apart"
    assert effect.sentence.endswith(f"; it is not significantly different from LSTM ({distance}).")


def test_runs_without_elmo_have_no_say_about_its_settings(study: Study) -> None:
    runs = combinations({"elmo.model": ["none", "small"], "seed": [1, 2, 3]})
    (effect,) = _effects(study, runs, [0.5] * 3 + [4.0] * 3)
    (contrast,) = effect.contrasts
    assert (effect.parameter, contrast.best.values, contrast.other.values) == ("elmo.model", ("small",), (None,))
    assert "ELMo model small; it is significantly better than no ELMo (+" in effect.sentence


def test_where_labels_vary_a_setting_is_told_for_each_number_of_them(study: Study) -> None:
    runs = combinations({"data.train_rows": [100, None], "elmo.model": ["none", "small"], "seed": [1, 2, 3]})
    helps = [4.0 if one["data.train_rows"] and one["elmo.model"] != "none" else 0.5 for one in runs]
    few, every = _effects(study, runs, helps)
    assert [one.data for one in (few, every)] == ["at most 100 labelled tweets", ""]
    (gain,) = few.contrasts
    assert (gain.best.values, gain.n_runs) == (("small",), (3, 3))
    assert gain.difference.is_significant
    assert all(one.difference and not one.difference.is_significant for one in every.contrasts)


def _claims(study: Study, names: list[str]) -> tuple[Any, ...]:
    """The claims of grid `cells`, and of the recommendation among its configurations."""
    findings = analyse(load_study(study.results, names))
    grid = next(grid for grid in findings.study.grids if grid.name == "cells")
    best = findings.recommended
    assert best is not None
    effects = [contrast.difference for effect in grid_effects(grid, findings.answers) for contrast in effect.contrasts]
    contrasts = [(each.best_epoch, each.overfitting_gap) for each in attention_contrasts(grid, [])]
    rivals = [difference for rival, difference in best.rivals.items() if len(rival.runs) > 1]
    return effects, contrasts, best.configuration.config, best.score, best.gain, rivals


def test_what_is_added_to_a_report_changes_no_claim_of_a_grid(study: Study) -> None:
    runs = combinations(
        {"model.pooling": ["attention", "last"], "data.text.stop_words": ["none", "all"], "seed": [1, 2]}
    )
    for number, config in enumerate(study.write_grid("cells", "Which?", runs)):
        run_dir = study.complete(config, "cells", skill=1.0 + 0.2 * number)
    alone = _claims(study, [])
    assert alone[0]
    assert alone[1]
    for config in study.write_grid("a search", "Which?", [{"model.hidden_size": n} for n in (9, 10)], method="random"):
        study.complete(config, "a search", skill=0.1)
    write_labels(study, {(None, rows): 1.0 for rows in LABELS[:2]})
    study.add(run_dir, "llm", {key: float(key % 2) for key in range(sum(PARTS.values()))})
    assert _claims(study, []) == alone
    assert _claims(study, ["cells"]) == alone


def _curves(study: Study) -> dict[str | None, LabelCurve]:
    findings = study.findings()
    curves = label_curves(findings.study.grids[0], findings.answers, findings.counts)
    return {"word2vec" if "word2vec" in curve.name else None: curve for curve in curves}


def _label_study(study: Study, plain: tuple[float, ...], vectors: tuple[float, ...] = ()) -> Study:
    """Nets that are as good as said with 100 labels, 200 and all, without vectors and with them."""
    skills = {(None, rows): skill for rows, skill in zip(LABELS, plain, strict=True)}
    write_labels(study, skills | {("word2vec", rows): skill for rows, skill in zip(LABELS, vectors, strict=False)})
    return study


@pytest.fixture
def labelled(study: Study) -> Study:
    """The net alone is worse than the baseline; that with vectors is better with 200 labels and more."""
    return _label_study(study, (0.1, 0.2, 0.1), (0.9, 3.5, 4.5))


def test_a_net_beats_the_baseline_from_the_number_on_from_which_it_is_better_at_every_number(labelled: Study) -> None:
    curves = _curves(labelled)
    for curve in curves.values():
        assert len(curve.points) == 3
        for point in curve.points:
            assert (point.seeds, point.difference.n, point.baseline.n) == (2, PARTS["test"], PARTS["test"])
            assert point.difference.value == pytest.approx(point.network.value - point.baseline.value)
            assert (point.difference.q or 0) >= (point.difference.p or 1)
    assert (curves[None].beats_baseline_from, curves["word2vec"].beats_baseline_from) == (None, 1)
    assert "is significantly worse than the linear baseline even with 400 labelled tweets" in curves[None].sentence
    assert "beats the linear baseline from 200 labelled tweets" in curves["word2vec"].sentence
    assert "it does not with 100 labelled tweets" in curves["word2vec"].sentence


@pytest.mark.parametrize(
    ("skills", "said"),
    [((0.9, 0.9, 0.9), "is not significantly better than"), ((4.0, 4.0, 0.1), "is significantly worse than")],
)
def test_a_net_that_is_not_better_with_the_most_labels_does_not_beat_the_baseline(
    study: Study, skills: Any, said: str
) -> None:
    curve = _curves(_label_study(study, skills))[None]
    assert curve.beats_baseline_from is None
    assert f"{said} the linear baseline even with 400 labelled tweets" in curve.sentence


def test_a_net_that_calls_every_tweet_alike_beats_the_baseline_at_no_number_of_labels(labelled: Study) -> None:
    findings = labelled.findings()
    grid, by_run = findings.study.grids[0], findings.answers.by_run
    for run in grid.completed:
        if run.config.embedding.pretrained and run.config.data.train_rows == 200:
            by_run[run.run_id] = replace(by_run[run.run_id], only_label=1)
    curve = next(one for one in label_curves(grid, findings.answers, findings.counts) if "word2vec" in one.name)
    assert "beats the linear baseline from 400 labelled tweets" in curve.sentence
    assert "it does not with 200 labelled tweets (always predicts positive)" in curve.sentence


def test_seeds_without_readable_predictions_are_left_out_of_a_curve_of_labels(labelled: Study) -> None:
    run = next(run for run in load_study(labelled.results, []).grids[0].completed if run.config.data.train_rows == 100)
    run.run_dir.predictions_file.write_bytes(b"cut")
    curve = _curves(labelled)[run.config.embedding.pretrained]
    assert (curve.points[0].seeds, curve.points[0].difference.n) == (1, PARTS["test"])


def test_bounds_of_importance_are_the_middle_90_percent_of_its_resamples() -> None:
    shares = iter([{"a": 0.5}, *({"a": number / 19} for number in range(20))])
    with patch.object(search_module, "_fanova", lambda *_: next(shares)):
        share = importances([{"a": 1}] * 3, [0.1, 0.2, 0.3])["a"]
    assert (share.value, share.low, share.high) == (0.5, pytest.approx(0.05), pytest.approx(0.95))


def test_expected_best_score_is_the_mean_of_the_best_of_all_subsets() -> None:
    scores = sorted([0.3, 0.7, 0.55, 0.9, 0.6, 0.61, 0.8, 0.42])
    for budget in (1, 3, 7):
        best = [max(subset) for subset in itertools.combinations(scores, budget)]
        assert expected_best(scores, budget).value == pytest.approx(np.mean(best))
    mean = expected_best(scores, 1)
    interval = scipy.stats.t.interval(0.95, 7, np.mean(scores), scipy.stats.sem(scores))
    assert (mean.low, mean.high) == pytest.approx(interval)


def test_interval_of_the_expected_best_score_covers_it() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((20_000, 5)).max(axis=1).mean()
    estimates = [expected_best(np.sort(rng.random(30)).tolist(), 5) for _ in range(200)]
    covered = sum(estimate.low < truth < estimate.high for estimate in estimates)  # type: ignore[operator]
    assert covered >= 175


def test_settings_that_never_vary_alone_are_compared_together(study: Study) -> None:
    """As where a grid starts from several base files."""
    files = [{"model.cell": "gru", "model.layers": 2}, {"elmo.model": "small", "model.dropout": 0.3}]
    runs = [of_file | {"seed": seed} for of_file in files for seed in (1, 2, 3)]
    (effect,) = _effects(study, runs, [0.5] * 3 + [4.0] * 3)
    (contrast,) = effect.contrasts
    assert set(effect.parameters) == {"model.cell", "model.layers", "elmo.model", "model.dropout"}
    assert contrast.n_runs == (3, 3)
    assert contrast.difference.is_significant
    assert "ELMo small" in effect.name_of(contrast.best)
    assert effect.name_of(contrast.best) in study.text()


@pytest.mark.parametrize(("scores", "tied"), [((3, 2, 1, 1), 0), ((3, 2, 2, 1), 2), ((2, 2, 2, 2), 4), ((2, 1), 0)])
def test_ranking_counts_the_trials_that_are_tied_at_the_cut(scores: tuple[float, ...], tied: int) -> None:
    trials = [RankedTrial(run_id=f"{rank}", value=score, epoch=1) for rank, score in enumerate(scores)]
    ranking = RungRanking(rung=0, epochs=1, promoted=2, trials=trials)
    assert ranking.tied_at_cut == tied
    assert ("tied" in ranking.describe()) == bool(tied)


@pytest.mark.slow
def test_a_search_in_rungs_tells_what_it_spent_and_compares_only_what_all_have(study: Study, tmp_path: Path) -> None:
    write_halved(study)
    text = study.report(tmp_path / "report")
    assert "are not completed" not in text  # what a search has pruned lacks nothing
    for sentence in (
        "48 epochs were trained, 40.0 % of the 120 that 30 full trials would need",  # 20 + 2 * 6 + 4 * 4
        "After epoch 1 the best 10 of 30 trials were promoted.",
        "After epoch 2 the best 4 of 10 trials were promoted; 5 trials, some promoted and some pruned, had the same",
        "Expected validation accuracy after epoch 1 of the best of n random trials (95 % CI): ",
        " for n = 1; ",
    ):
        assert sentence in text
    rows = [row for row in read_table(tmp_path / "report", "runs") if row["grid"] == "halving"]
    assert sorted(row["state"] for row in rows) == ["completed"] * 4 + ["pruned"] * 26
    assert len(read_table(tmp_path / "report", "best-halving")) == 4


def test_the_only_completed_trial_of_a_search_is_no_best_of_several(study: Study) -> None:
    runs: list[dict[str, Any]] = [{"model.hidden_size": size} for size in (16, 32)]
    first, _ = study.write_grid("some", "Which?", runs, method="random")
    study.complete(first, "some")
    question = search(study.findings())
    assert ("Too few trials are completed" in str(question.cards[0]), question.numbers) == (True, [])


def test_method_of_expected_scores_is_explained_where_they_are_shown(study: Study) -> None:
    runs = combinations({"training.learning_rate": RATES, "model.dropout": DROPOUTS})
    for number, config in enumerate(study.write_grid("trials", "Which?", runs, method="random")):
        study.complete(config, "trials", skill=0.5 + number / 30)
    with patch.object(search_module, "importances", lambda *_: {}):
        question = search(study.findings())
    assert "Expected validation macro F1" in str(question.cards[0])
    assert "budgets" in question.methods


LOSS = Score("validation/loss", after=2)


def test_a_search_for_the_lowest_loss_draws_it_as_it_is_with_the_lowest_on_top() -> None:
    run: Any = SimpleNamespace(completed=None, planned=None, run_id="a")
    f1 = Score("validation/macro_f1")
    for score, value, said in ((LOSS, 0.412, "epoch 2: 0.412"), (f1, 41.2, "epoch 2: 41.2 %")):
        last = trial_points(run, [0.7, 0.412], score)[-1]
        assert last.value == pytest.approx(value)
        assert last.tooltip.endswith(said)
    assert (LOSS.title, f1.title) == ("validation loss after epoch 2", "validation macro F1 (%)")
    losses = enumerate((0.5, 0.4, 0.6))
    trials = [Trial(index, {"model.dropout": index / 10, "cell": "gru"}, loss) for index, loss in losses]
    rows = rows_with(parallel_figure("parallel", "", "", trials, LOSS).spec, "trial", "axis", "height", "score")
    assert list(dict.fromkeys(row["trial"] for row in rows)) == [2, 0, 1]  # what is drawn last lies on top
    assert [rank_correlation(SearchTrials(trials, LOSS), name) for name in ("model.dropout", "cell")] == [
        " (+0.50)",
        "",
    ]


def test_importance_of_scores_that_are_nearly_all_equal_stops_nothing() -> None:
    settings = [{"a": trial % 5, "b": trial % 3} for trial in range(40)]
    shares = importances(settings, [0.5] * 39 + [0.6])
    assert set(shares) == {"a", "b"}
    assert importances(settings, [0.5] * 40) == {}


def test_damaged_corpus_of_a_label_curve_is_named_and_stops_nothing(study: Study) -> None:
    write_labels(study, {(None, rows): 1.0 for rows in LABELS[:2]})
    for manifest in study.results.corpora.glob("*/manifest.json"):
        manifest.write_text("{}")
    findings = study.findings()
    (card,) = labels(findings).cards
    assert findings.problems
    assert "200 labelled tweets" in str(card)
