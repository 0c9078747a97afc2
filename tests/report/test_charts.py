"""Every chart draws what run directories hold, and so does what readers explore in the page; what a search finds."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise, product
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy

from report.build import compose
from report.compare.findings import Findings, packed_curves
from report.evaluated import CompletedRun, as_setting
from report.questions import search
from report.questions.attention import attended, attention
from report.questions.search import importances, trials_for_importance
from report.read import AttentionSample
from report.render import wording
from report.render.blocks import Card
from report.render.charts import (
    MOST_AXES,
    NARROW,
    WIDE,
    Axis,
    Figure,
    IntervalRow,
    Trial,
    ValueAxis,
    interval_figure,
    line_figure,
    parallel_figure,
    share_point,
)
from report.render.wording import Score
from sentiment.blocks.content import Bullets, Text
from sentiment.runs.halving import RankedTrial, RungRanking
from sentiment.runs.records import PlannedRun, RunRecord
from sentiment.runs.run_dir import Results
from sentiment.statistics.estimate import Estimate
from tests.invented import combinations
from tests.report.made_up import Spec, Study, nodes, rows_with
from tests.report.studies import LABELS, write_halved, write_labels, write_study


def _near(found: list[float], expected: list[float]) -> None:
    assert found == pytest.approx(expected, abs=1e-4)


def _grid(findings: Findings, figure: str) -> Any:
    return next(grid for grid in findings.study.grids if figure.endswith(f"-{grid.name}"))


def _test_predictions(run: CompletedRun) -> Any:
    table = pq.read_table(run.run_dir.predictions_file).to_pandas()
    return table[table["part"] == "test"]


def _epochs(run: CompletedRun) -> list[dict[str, Any]]:
    epochs = []
    for row in run.run_dir.read_epochs()[0]:
        parts = {part: metrics.named(["negative", "positive"]) for part, metrics in row.metrics.items()}
        epochs.append({"epoch": row.epoch, **parts})
    return epochs


def _check_question(_: str, spec: Spec, _findings: Findings) -> None:
    for row in rows_with(spec, "name", "value", "low", "high", "value_text"):
        values = [row[key] for key in ("value", "low", "high")]
        assert values[1] <= values[0] <= values[2]
        digits = [float(one) for one in re.findall(r"[\d.]+", row["value_text"])]
        assert digits == pytest.approx([abs(one) for one in values], abs=0.051)


def _check_reliability(_: str, spec: Spec, findings: Findings) -> None:
    test, rows = (
        _test_predictions(findings.recommended.run.trained[0]),
        rows_with(spec, "group", "x", "value", "low", "high"),
    )
    for name, column in (("network", "network_positive"), ("linear baseline", "baseline_positive")):
        positive = test[column].to_numpy(float)
        right = (positive >= 0.5) == (test["label"].to_numpy() == 1)
        confidences = np.maximum(positive, 1 - positive)
        groups = np.array_split(np.argsort(confidences, kind="stable"), 10)
        drawn = [[row[key] for key in ("x", "value", "low", "high")] for row in rows if row["group"] == name]
        for group, values in zip(groups, drawn, strict=True):
            wilson = scipy.stats.binomtest(int(right[group].sum()), len(group)).proportion_ci(method="wilson")
            expected = (confidences[group].mean(), right[group].mean(), wilson.low, wilson.high)
            _near(values, [100 * float(share) for share in expected])
    for key in ("x", "value"):
        _near([row[key] for row in rows if row["group"] == "calibrated"], [50, 100])


def _check_parallel(name: str, spec: Spec, findings: Findings) -> None:
    """Each trial's line passes its settings in their order, and ends at its validation F1."""
    trials = _grid(findings, name).completed
    lines: dict[int, list[Any]] = defaultdict(list)
    for row in sorted(rows_with(spec, "trial", "axis", "height", "score"), key=lambda row: row["axis"]):
        lines[row["trial"]].append(row)
    scores = sorted(100 * run.score("validation", "macro_f1") for run in trials)
    _near(sorted(line[-1]["score"] for line in lines.values()), scores)
    for line in lines.values():
        _near([line[-1]["height"]], [(line[-1]["score"] - scores[0]) / (scores[-1] - scores[0])])
    for parameter in ("training.learning_rate", "model.dropout"):
        title = wording.parameter_name(parameter)
        titles = {row["title"].replace("|", " "): row["axis"] for row in rows_with(spec, "axis", "title")}
        axis = next(axis for name, axis in titles.items() if name.startswith(title))
        shown = [wording.setting(parameter, one) for one in sorted({run.settings[parameter] for run in trials})]
        by_value = [
            [line[axis]["height"] for line in lines.values() if f"{value}," in line[0]["tooltip"].replace(";", ",")]
            for value in shown
        ]
        assert sum(map(len, by_value)) == len(trials)
        assert max(by_value[0]) < 0.05
        assert min(by_value[-1]) > 0.95
        assert all(max(less) < min(more) for less, more in pairwise(by_value))


def _check_importance(_: str, spec: Spec, _findings: Findings) -> None:
    """What the score depends on comes first; shares are of one whole."""
    rows = rows_with(spec, "name", "value", "low", "high")
    assert rows[0]["name"].startswith("learning rate")
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    assert sum(row["value"] for row in rows) == pytest.approx(100, abs=40)
    assert all(row["low"] <= row["high"] for row in rows)


def _check_labels(name: str, spec: Spec, findings: Findings) -> None:
    """Means over seeds by the number of labels, and the baseline's accuracy."""
    for row in rows_with(spec, "group", "x", "value", "low", "high"):
        same = [one for one in _grid(findings, name).completed if (one.config.data.train_rows or 400) == row["x"]]
        if row["group"] == "linear baseline":
            baselines = [100 * run.test_metrics["baseline"].accuracy for run in same]
            assert any(row["value"] == pytest.approx(one, abs=1e-4) for one in baselines)
        else:
            vectors = "word2vec" if "word2vec" in row["group"] else None
            seeds = [one.test_metrics["network"] for one in same if one.config.embedding.pretrained == vectors]
            _near([row["value"]], [100 * float(np.mean([one.accuracy for one in seeds]))])
        assert row["low"] < row["value"] < row["high"]


CHECKS: dict[str, Callable[[str, Spec, Findings], None]] = {
    "question-": _check_question,
    "reliability": _check_reliability,
    "parallel-": _check_parallel,
    "importance-": _check_importance,
    "labels-": _check_labels,
}


@pytest.fixture(scope="module")
def charted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Figure, Findings]]:
    whole, labelled = (Results(tmp_path_factory.mktemp(name)) for name in ("whole", "labelled"))
    studies = [write_study(whole, 48), Study(labelled)]
    curves = product((None, "word2vec"), LABELS)
    write_labels(studies[1], {of_point: 0.3 + 0.3 * number for number, of_point in enumerate(curves)})
    figures = []
    for study in studies:
        findings = study.findings()
        is_whole = study.results is whole
        with patch.multiple(search, **({"_RESAMPLES": 3} if is_whole else {"importances": lambda *_: {}})):
            blocks = compose(findings).blocks
        drawn = [block for block in blocks if isinstance(block, Figure)]
        figures += [(figure, findings) for figure in drawn if is_whole or figure.name.startswith("labels-")]
    return figures


@pytest.mark.slow
def test_every_chart_draws_what_the_run_directories_hold(charted: list[tuple[Figure, Findings]]) -> None:
    drawn = set()
    for figure, findings in charted:
        for node in nodes(figure.spec):
            domain = node.get("domain", [])
            numbers = [one for one in domain if isinstance(one, int | float)] if isinstance(domain, list) else []
            assert (node.get("reverse", False), numbers) == (False, sorted(numbers)), "an axis is turned round"
        kind = next(prefix for prefix in CHECKS if figure.name.startswith(prefix))
        CHECKS[kind](figure.name, figure.spec, findings)
        drawn.add(kind)
    assert drawn == set(CHECKS)


@pytest.mark.slow
def test_drawings_of_all_widths_draw_the_same_data(charted: list[tuple[Figure, Findings]]) -> None:
    for figure, _ in charted:
        values = []
        for width in (WIDE, NARROW):
            spec = json.loads(json.dumps(figure.build_spec(width)).replace("|", " "))  # titles break where they have to
            drawn = [node["data"] for node in nodes(spec) if "data" in node]
            values.append([data for data in drawn if "text" not in data["values"][0]])  # lines of names break
        for other in values[1:]:
            assert all(data in other for data in values[0] if len(data["values"]) > 2), figure.name


def test_tokens_with_much_attention_are_bold_by_the_mean_over_hops() -> None:
    hops = [[0.7, 0.2, 0.1], [0.5, 0.2, 0.3]]
    values = {"tweet": 1, "label": 1, "predicted": 0, "probability": 0.9, "tokens": ["so", "*sad*", "<b>"]}
    said = attended(AttentionSample.model_validate(values | {"weights": hops}), ("negative", "positive"))
    assert said == "wrong: label positive, predicted negative (90.0 %): **so (1.8)** \\*sad\\* &lt;b&gt;"


def test_most_confident_of_right_and_of_wrong_predictions_are_the_examples_of_attention(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = {"label": 1, "tokens": ["so"], "weights": [[1.0]]}
    answers = [(predicted, probability) for predicted in (1, 0) for probability in (0.6, 0.9, 0.7, 0.8)]
    samples = [
        sample | {"tweet": tweet, "predicted": predicted, "probability": probability}
        for tweet, (predicted, probability) in enumerate(answers)
    ]
    monkeypatch.setattr("tests.report.made_up._ATTENTION", samples)
    study.single({"model.pooling": "attention"})
    (card,) = attention(study.findings()).cards
    said = [re.findall(r"(right|wrong).* \((.*) %\)", item) for block in card.blocks[1:] for item in block.items]
    assert said == [[(verdict, share)] for verdict in ("right", "wrong") for share in ("90.0", "80.0", "70.0")]


def test_each_run_is_explored_by_its_own_curves(study: Study) -> None:
    for seed, emptied in ((1, 0), (2, 7), (3, 0)):
        text = {"data.text.stop_words": "all"} if emptied else {}
        study.single({"seed": seed} | text, skill=0.3 * seed, emptied=emptied)
    findings = study.findings()
    runs = {run.run_id: run.completed for run in findings.study.runs if run.completed}
    assert findings.curves.keys() == runs.keys()
    for run_id, curves in findings.curves.items():
        for part, metric in ((part, metric) for part in ("train", "validation") for metric in ("loss", "accuracy")):
            logged = [row[part][metric] for row in _epochs(runs[run_id])]
            assert curves[f"{part}_{metric}"] == pytest.approx(logged, abs=1e-4), (run_id, part, metric)
    assert len({json.dumps(one) for one in findings.curves.values()}) == len(runs)


def test_long_curves_keep_their_ends() -> None:
    same = SimpleNamespace(loss=0.5, accuracy=0.5)
    curve = [SimpleNamespace(epoch=epoch, metrics={"train": same, "validation": same}) for epoch in range(1, 51)]
    reader: Any = SimpleNamespace(read_each=lambda *_: {"run": curve})
    epochs = packed_curves([], reader)["run"]["epoch"]
    assert (len(epochs), epochs[0], epochs[-1]) == (20, 1, 50)


def _label_figure(study: Study, **varied: list[Any]) -> Figure:
    """Of networks whose baseline is worse without stop words."""
    runs = combinations({"data.train_rows": [100, 200], "seed": [1, 2], **varied})
    for config in study.write_grid("labels", "What is a label worth?", runs):
        study.complete(config, "labels", linear=0.3 if config.data.text.stop_words == "all" else 0.9)
    blocks = compose(study.findings()).blocks
    return next(block for block in blocks if isinstance(block, Figure) and block.name == "labels-labels")


@pytest.mark.parametrize(
    ("varied", "baselines"),
    [({"data.text.stop_words": ["none", "all"]}, 2), ({"embedding.pretrained": ["word2vec", None]}, 1)],
)
def test_labels_are_drawn_with_each_linear_baseline_that_there_is(
    study: Study, varied: dict[str, list[Any]], baselines: int
) -> None:
    rows = rows_with(_label_figure(study, **varied).spec, "group", "x", "value")
    values = {(row["x"], row["value"]) for row in rows if row["group"].startswith("linear baseline")}
    names = {row["group"] for row in rows if row["group"].startswith("linear baseline")}
    assert (len(names), len(values)) == (baselines, 2 * baselines)


def test_cards_of_several_grids_of_labels_name_their_grids(study: Study) -> None:
    for grid in ("few", "many"):
        for config in study.write_grid(grid, "Why?", combinations({"data.train_rows": [100, 200], "seed": [1, 2]})):
            study.complete(config, grid)
    titles = [block.title for block in compose(study.findings()).blocks if isinstance(block, Card)]
    need = "How many labelled tweets does a network need in"
    assert [title for title in titles if title.startswith(need)] == [f"{need} few?", f"{need} many?"]


def test_labels_whose_number_is_not_known_here_are_told_and_not_drawn(study: Study) -> None:
    runs = combinations({"data.train_rows": [100, None], "seed": [1, 2]})
    for config in study.write_grid("labels", "What is a label worth?", runs):
        run_dir = study.complete(config, "labels")
        shutil.rmtree(study.results.corpus_dir(run_dir.read(RunRecord).data_fingerprint), ignore_errors=True)
        if config.data.train_rows:
            run_dir.predictions_file.unlink()
    blocks = compose(study.findings()).blocks
    assert not [figure.spec for figure in blocks if isinstance(figure, Figure) and figure.name.startswith("labels-")]
    assert "baseline even with all labelled tweets" in study.text()


def test_names_are_whole_on_phones() -> None:
    name = "stop words kept \u2212 stop words removed but negations (stop_words, the linear baseline)"
    lines: list[IntervalRow] = [(one, Estimate(0.034, -0.013, 0.034, 120), "blue") for one in (name, "LSTM \u2212 GRU")]
    figure = interval_figure("names", "Names", "n = 120", lines, ValueAxis("points", marks_zero=True))
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", figure.narrow_svg)
    assert "\u2026" not in "".join(texts)
    assert {*name.split()} <= {word for text in texts for word in text.split()}


def test_titles_of_all_axes_of_trials_are_whole() -> None:
    parameters = ("training.learning_rate", "model.hidden_size", "data.train_rows", "model.dropout")
    trials = [Trial(index, dict.fromkeys(parameters, 10**index), index / 4) for index in range(5)]
    figure = parallel_figure("trials", "Trials", "n = 5", trials, Score("validation/macro_f1", 3))
    for width, svg in ((WIDE, figure.svg), (NARROW, figure.narrow_svg)):
        lines = re.findall(r"<text [^>]*translate\(([\d.]+),.*?font-weight=\"bold\"[^>]*>(.*?)</text>", svg)
        words = {word for _, line in lines for word in re.sub("<[^>]*>", " ", line).split()}
        assert {"validation", "macro", "F1", "epoch", "learning", "rate", "labelled", "tweets"} <= words
        at, last = lines[-1]
        letters = max(map(len, re.split("<[^>]*>", last)))
        assert float(at) + 0.58 * (10 if width == NARROW else 12) * letters <= width


def test_no_line_of_a_trial_is_too_dark_for_dark_paper() -> None:
    trials = [Trial(index, {"model.dropout": index / 4}, index / 4) for index in range(5)]
    svg = parallel_figure("trials", "Trials", "n = 5", trials, Score("validation/macro_f1")).svg
    colours = re.findall(r'aria-label="trial [^>]* stroke="rgb\((\d+), (\d+), (\d+)\)"', svg)
    assert len(colours) == 5
    weights = (0.2126, 0.7152, 0.0722)  # of the eye; viridis begins at 26
    assert min(sum(int(one) * weight for one, weight in zip(of, weights, strict=True)) for of in colours) > 75


def test_search_of_many_settings_and_of_lists_is_drawn() -> None:
    trials = []
    for index in range(3):
        settings = {f"setting.{number}": index + number for number in range(25)}
        settings |= {"model.dropout": as_setting([index, 1])}
        trials.append(Trial(index, dict(reversed(settings.items())), index / 3))
    figure = parallel_figure("parallel", "Trials", "", trials, Score("validation/macro_f1"))
    titles = rows_with(figure.spec, "title")
    assert len(titles) == MOST_AXES + 1
    assert "<svg" in figure.svg
    assert "<svg" in figure.narrow_svg


def test_ends_of_an_axis_are_labelled_whether_its_numbers_are_whole_or_not() -> None:
    clips = [1, 1.25, 1.5, 1.75, 2.25, 2.5, 2.75, 3.25, 4]
    trials = [Trial(index, {"training.clip": clip}, index / 8) for index, clip in enumerate(clips)]
    figure = parallel_figure("parallel", "Trials", "", trials, Score("validation/macro_f1"))
    heights = {row["label"]: row["height"] for row in rows_with(figure.spec, "height", "label") if row["axis"] == 0}
    assert (heights["1"], heights["4"]) == (0, 1)


def test_control_characters_in_names_are_drawn_as_text() -> None:
    name = "a\x01b\u202e\ud800c"
    rows: list[IntervalRow] = [(name, Estimate(0.5, 0.4, 0.6, 9), "blue")]
    figure = interval_figure("intervals", name, "", rows, ValueAxis(name))
    points = [share_point(name, x, Estimate(0.5, 0.4, 0.6, 9), name) for x in (1, 2)]
    lines = line_figure("lines", name, "", points, (Axis(name), Axis("score")))
    for drawn in (figure.svg, figure.narrow_svg, lines.svg):
        assert "U+0001" in drawn


LOSS = Score("validation/loss", after=2)


def test_bounds_of_importance_are_the_middle_90_percent_of_its_resamples() -> None:
    shares = iter([{"a": 0.5}, *({"a": number / 19} for number in range(20))])
    with patch.object(search, "_fanova", lambda *_: next(shares)):
        share = importances([{"a": 1}] * 3, [0.1, 0.2, 0.3])["a"]
    assert (share.value, share.low, share.high) == (0.5, pytest.approx(0.05), pytest.approx(0.95))


def test_trials_on_different_tweets_are_not_compared_with_each_other(study: Study) -> None:
    parameters: dict[str, list[Any]] = {"data.source": ["easy.csv", "hard.csv"], "training.learning_rate": [1e-4, 1e-3]}
    for config in study.write_grid("sweep", "Which?", combinations(parameters), method="random"):
        study.complete(config, "sweep", skill=2.0 if config.data.source == "easy.csv" else 0.5)
    cards = search.search(study.findings()).cards
    assert [card.title.partition("?")[2] for card in cards] == [" (easy.csv)", " (hard.csv)"]
    for card in cards:
        said = card.blocks[0]
        assert isinstance(said, Text)
        assert said.text.startswith("Best of 2 trials on validation tweets: learning rate 0.0")
    names = [block.name for card in cards for block in card.blocks if isinstance(block, Figure)]
    assert names == ["parallel-sweep", "parallel-sweep-1"]


@pytest.mark.parametrize(("scores", "tied"), [((3, 2, 1, 1), 0), ((3, 2, 2, 1), 2), ((2, 2, 2, 2), 4), ((2, 1), 0)])
def test_ranking_counts_the_trials_that_are_tied_at_the_cut(scores: tuple[float, ...], tied: int) -> None:
    trials = [RankedTrial(run_id=f"{rank}", value=score, epoch=1) for rank, score in enumerate(scores)]
    ranking = RungRanking(rung=0, epochs=1, promoted=2, trials=trials)
    assert ranking.tied_at_cut == tied
    assert ("tied" in ranking.describe()) == bool(tied)


def test_a_search_for_the_lowest_loss_draws_it_as_it_is_with_the_lowest_on_top() -> None:
    f1 = Score("validation/macro_f1")
    assert (LOSS.with_unit(0.412), f1.with_unit(0.412)) == ("0.412", "41.2 %")
    assert (LOSS.title, f1.title) == ("validation loss after epoch 2", "validation macro F1 (%)")
    losses = enumerate((0.5, 0.4, 0.6))
    trials = [Trial(index, {"model.dropout": index / 10, "cell": "gru"}, loss) for index, loss in losses]
    rows = rows_with(parallel_figure("parallel", "", "", trials, LOSS).spec, "trial", "axis", "height", "score")
    assert list(dict.fromkeys(row["trial"] for row in rows)) == [2, 0, 1]  # what is drawn last lies on top


def test_search_in_rungs_tells_how_many_epochs_it_saved(study: Study) -> None:
    write_halved(study)
    with patch.object(search, "importances", lambda *_: {}):
        (card,) = search.search(study.findings()).cards
    bullets = card.blocks[-1]
    assert isinstance(bullets, Bullets)
    saved, first, _, warning = bullets.items
    assert saved.startswith("48 epochs were trained, 40.0 % of the 120 that 30 full trials would need")
    assert first == "After epoch 1 the search promoted the best 10 of 30 trials."
    assert "slow starters" in warning


def test_setting_in_which_no_trials_with_a_score_differ_is_not_drawn() -> None:
    """As where all trials of the larger network ran out of memory."""
    runs = []
    ranked = []
    for index, (dropout, width) in enumerate(product([0.0, 0.1], [64, 1024])):
        parameters = {"model.dropout": dropout, "model.hidden_size": width}
        runs.append(PlannedRun(index=index, run_id=f"{index}", parameters=parameters))
        ranked.append(RankedTrial(run_id=f"{index}", value=0.5 + dropout if width == 64 else None, epoch=1))
    ranked.sort(key=lambda trial: trial.value is None)
    ranking = RungRanking(rung=0, epochs=1, promoted=1, trials=ranked)
    plan = SimpleNamespace(metric="validation/accuracy", runs=runs)
    grid: Any = SimpleNamespace(rungs=SimpleNamespace(plan=plan, rankings=[ranking]))
    trials = trials_for_importance(grid).trials
    assert [trial.settings for trial in trials] == [{"model.dropout": 0.0}, {"model.dropout": 0.1}]


@pytest.mark.slow
def test_importance_finds_the_shares_of_a_known_variance() -> None:
    rng = np.random.default_rng(1)
    settings = [{"a": float(rng.random()), "b": float(rng.random()), "c": bool(rng.random() < 0.5)} for _ in range(120)]
    with patch.object(search, "_RESAMPLES", 2):
        shares = importances(settings, [3 * one["a"] + one["b"] for one in settings])  # variances 9 : 1 : 0
    assert list(shares)[:2] == ["a", "b"]
    assert shares["a"].value == pytest.approx(0.9, abs=0.07)
    assert shares["c"].value < 0.02
    assert all((share.low or 0) <= (share.high or 0) for share in shares.values())


def test_trial_has_no_value_of_a_setting_that_has_no_effect_in_it(study: Study) -> None:
    runs = [{"model.pooling": "mean"}, *combinations({"model.pooling": ["attention"], "model.attention.r": [3, 7]})]
    for config in study.write_grid("sweep", "Which?", runs, method="random"):
        study.complete(config, "sweep", skill=2.0 if config.model.pooling == "mean" else 0.5)
    (grid,) = study.findings().study.grids
    settings = [trial.settings for trial in trials_for_importance(grid).trials]
    hops = {(of_trial["model.pooling"], of_trial["model.attention.r"]) for of_trial in settings}
    assert hops == {("mean", None), ("attention", 3), ("attention", 7)}
    (card,) = search.search(study.findings()).cards
    said = card.blocks[0]
    assert isinstance(said, Text)
    assert "pooling mean" in said.text
    assert "attention" not in said.text
