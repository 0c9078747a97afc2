"""Predictions from elsewhere in the report, beside the models on the tweets that both have; nets that tell no tweets
apart are never called better."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import cohen_kappa_score

from report.compare.datasets import seed_variance_of
from report.compare.findings import Findings
from report.designs import Seeds, Side, pooled_variance
from report.render.blocks import Fold
from report.render.charts import Figure
from report.render.wording import escape
from report.sections.answer import answer, caveats
from report.sections.models import leaderboard
from report.statistics import kappa
from sentiment.runs.records import Result
from sentiment.runs.run_dir import Results, RunDir
from tests.report.made_up import PARTS, Study, rows_with, tables_of
from tests.small_runs import stored

N = PARTS["test"]
FIRST = PARTS["validation"]  # the first test tweet's key


def _runs(study: Study, **data: Any) -> list[RunDir]:
    return [
        study.single({"model.hidden_size": width, "seed": seed} | data, skill=0.8 + width / 50)
        for width in (8, 16)
        for seed in (1, 2, 3)
    ]


def _other_cleaning(study: Study) -> RunDir:
    """A run that cleans tweets otherwise than `_runs`, so that three become empty."""
    return study.single({"data.text.stop_words": "all"}, skill=0.1, emptied=3)


def _said(run_dir: RunDir, wrong_every: int, part: str = "test", leave: int = 0) -> dict[int, float]:
    """The labels of a part but its last tweets, each so many-th turned."""
    rows = [row for row in pq.read_table(run_dir.predictions_file).to_pylist() if row["part"] == part]
    kept = rows[: len(rows) - leave]
    return {row["tweet"]: float(row["label"] ^ (place % wrong_every == 0)) for place, row in enumerate(kept)}


def _right(run_dir: RunDir, kind: str) -> Any:
    table = pq.read_table(run_dir.predictions_file).to_pandas()
    table = table[table["part"] == "test"]
    return ((table[f"{kind}_positive"] >= 0.5) == (table["label"] == 1)).to_numpy()


def _rows(findings: Findings) -> dict[str, dict[str, Any]]:
    return {row["model"]: dict(row) for row in tables_of(leaderboard(findings))["leaderboard"].rows}


@pytest.mark.parametrize("stop_words", ["none", "all"])
def test_what_is_added_has_the_one_comparison_on_the_tweets_that_both_have(study: Study, stop_words: str) -> None:
    """Also where it was added to a run that cleans tweets otherwise than the recommended one."""
    run_dirs = _runs(study)
    beside = run_dirs[0] if stop_words == "none" else _other_cleaning(study)
    said = _said(beside, 10, leave=20)
    study.add(beside, "gpt", said)
    findings = study.findings()
    best, (added,) = findings.recommended, findings.main.added  # type: ignore[union-attr]
    assert not findings.problems
    of, n = [RunDir(run.run_dir.path) for run in best.configuration.runs], len(said)
    nets, baseline = np.stack([_right(one, best.recommended_model)[:n] for one in of]), _right(of[0], "baseline")[:n]
    mine = added.test.right("added")[added.predictor.answered]
    assert (len(mine), mine.mean()) == (n, pytest.approx(1 - len(range(0, n, 10)) / n))
    (claim,) = best.added
    assert claim.below_recommended.value == pytest.approx(nets.mean() - mine.mean())
    seed_variance = pooled_variance(
        [_right(one, best.recommended_model).mean() for one in seeds] for seeds in (run_dirs[:3], run_dirs[3:])
    )
    assert seed_variance is not None
    alone = Seeds(seed_variance).difference(Side([nets]), Side([mine[None]], has_seeds=False))
    assert claim.below_recommended.p == pytest.approx(alone.p)
    assert claim.below_recommended.q > alone.p  # corrected with the rivals
    row = _rows(findings)[f"gpt (added, {n} of {len(added.test.tweets)} tweets)"]
    assert row["gain_over_baseline"] == pytest.approx(mine.mean() - baseline.mean())
    assert row["test_macro_f1"] == added.predictor.metrics(added.test.labels).macro_f1
    column = "difference_to_best" if best.recommended_model == "network" else "difference_to_recommended"
    assert row[column] == claim.below_recommended.value


@pytest.mark.parametrize(("others", "remark"), [(1, "1 other answer counts"), (20, "20 other answers count")])
def test_answers_that_are_none_of_the_classes_are_wrong(study: Study, others: int, remark: str) -> None:
    run_dir, *_ = _runs(study)
    said: dict[int, Any] = _said(run_dir, 10)
    study.add(run_dir, "gpt", said | dict.fromkeys([*said][:others]))
    findings = study.findings()
    (added,) = findings.recommended.added  # type: ignore[union-attr]
    right = int(added.test.right("added").sum())
    assert right == N - others - len([tweet for tweet in range(others, N) if tweet % 10 == 0])
    assert (added.predictor.other_answers, added.metrics.n, added.metrics.accuracy) == (others, N, right / N)
    row = _rows(findings)[f"gpt (added; its {remark} as wrong)"]
    assert row["test_accuracy"] == right / N
    assert added.below_recommended.n == N
    assert added.above_baseline.n == N


def test_language_model_that_refuses_many_tweets_is_not_recommended_for_the_others(study: Study) -> None:
    run_dir, *_ = _runs(study)
    said: dict[int, Any] = _said(run_dir, 1000) | _said(run_dir, 1000, "validation")
    study.add(run_dir, "gpt", said | dict.fromkeys(tweet for tweet in said if tweet % 5 < 2))
    findings = study.findings()
    (added,) = findings.recommended.added  # type: ignore[union-attr]
    assert 0.55 < added.accuracy.value < 0.65
    assert not added.beats_on_validation
    assert "gpt" not in _lead(findings)


@pytest.mark.parametrize(("answers", "is_drawn"), [(1, False), (29, False), (30, True)])
def test_predictor_with_few_answers_is_named_not_drawn_and_not_recommended(
    study: Study, answers: int, is_drawn: bool
) -> None:
    run_dir, *_ = _runs(study)
    said = dict([*_said(run_dir, 1000).items()][-answers:])
    study.add(run_dir, "gpt", said)
    study.add(run_dir, "few", _said(run_dir, 200) | dict([*_said(run_dir, 1000, "validation").items()][-answers:]))
    findings = study.findings()
    (figure,) = (block for block in answer(findings) if isinstance(block, Figure))
    rows = [row["name"] for row in rows_with(figure.spec, "value_text")]
    assert (f"gpt (added), n = {answers}" in rows) == is_drawn
    assert ("gpt answered fewer than 30 of these tweets and is not drawn" in str(figure.caption)) != is_drawn
    few = findings.recommended.added[0]  # type: ignore[union-attr]
    assert (few.name, few.beats_on_validation, few.validation_macro_f1 is not None) == ("few", is_drawn, is_drawn)
    if answers > 1:
        assert (
            f"answered {answers} of the validation tweets, fewer than 30" in " ".join(caveats(findings))
        ) != is_drawn


def _lead(findings: Findings) -> str:
    return " ".join(str(getattr(block, "text", "")) for block in answer(findings))


@pytest.mark.parametrize(
    ("validation", "test", "annotator", "stop_words", "is_told"),
    [
        (20, 200, False, "none", True),
        (20, 200, False, "all", True),
        (2, 200, False, "none", False),
        (20, 3, False, "none", False),
        (20, 200, True, "none", False),
        (None, 200, False, "none", False),
    ],
)
def test_first_screen_names_what_validation_tweets_choose_and_test_tweets_show_to_be_better(
    study: Study, validation: int | None, test: int, annotator: bool, stop_words: str, is_told: bool
) -> None:
    run_dir, *_ = _runs(study)
    if stop_words == "all":
        run_dir = _other_cleaning(study)
    said = _said(run_dir, test) | ({} if validation is None else _said(run_dir, validation, "validation"))
    study.add(run_dir, "gpt", said, annotator=annotator)
    findings = study.findings()
    assert _lead(findings).startswith("**Use gpt (added predictor).**") == is_told
    assert (findings.recommended.added_winner is not None) == is_told  # type: ignore[union-attr]
    is_excused = "gpt (added predictor) has a significantly higher" in " ".join(caveats(findings))
    assert is_excused == (validation is None)


def test_person_gives_a_ceiling_and_agreement_beyond_chance(study: Study) -> None:
    run_dir, *_ = _runs(study)
    said = _said(run_dir, 7)
    study.add(run_dir, "Anna", said, annotator=True, note="Asked <b>twice</b>.", cost=3.0, seconds=60.0)
    findings = study.findings()
    (anna,) = findings.main.added  # type: ignore[union-attr]
    labels = [row["label"] for row in pq.read_table(run_dir.predictions_file).to_pylist() if row["part"] == "test"]
    assert anna.kappa == pytest.approx(cohen_kappa_score(labels, [int(said[FIRST + at]) for at in range(N)]))
    (figure,) = (block for block in answer(findings) if isinstance(block, Figure))
    rules = [layer["data"]["values"][0]["at"] for layer in figure.spec["layer"] if "data" in layer]
    assert rules[1] == pytest.approx(100 * anna.accuracy.value)
    assert f"human annotators ({100 * anna.accuracy.value:.1f} %)" in str(figure.caption)
    _, fold, _ = (block for block in leaderboard(findings) if isinstance(block, Fold))
    assert "Anna (human annotator)" in str(fold)
    told = " ".join(str(getattr(block, "text", "")) for block in fold.blocks)
    cost = f"per 1,000 tweets: cost {3000 / N:.3g}, {60000 / N:.3g} s"
    assert [part for part in (f"kappa {anna.kappa:.2f}", cost, "Asked <b>twice</b>.") if part not in told] == []


def test_answers_to_all_tweets_count_for_all_folds_at_once(tmp_path: Path) -> None:
    study = Study(Results(tmp_path / "results"))
    runs = [study.single({"data.folds": 3, "data.fold": fold}, skill=fold) for fold in (1, 2, 3)]
    said: dict[int, float] = {}
    for run in runs:
        said |= _said(run, 5)
    study.add(runs[1], "gpt", said)
    findings = study.findings()
    (gpt,) = findings.main.added  # type: ignore[union-attr]
    assert (len(gpt.test.tweets), gpt.metrics.n, gpt.validation) == (3 * N, 3 * N, None)
    assert findings.recommended.added[0].below_recommended


def test_best_run_without_predictions_is_named_and_stops_nothing(study: Study) -> None:
    first, *others = _runs(study)
    study.add(first, "gpt", _said(first, 20) | _said(first, 20, "validation"))
    for run_dir in others:
        run_dir.predictions_file.unlink()
    findings = study.findings()
    assert len(findings.problems) == len(others)
    assert not findings.recommended.added[0].replaces_recommended  # type: ignore[union-attr]


def test_agreement_on_three_classes_is_that_of_scikit_learn_and_by_chance_alone_is_none() -> None:
    assert kappa(np.ones(4, int), np.ones(4, int)) == 0
    generator = np.random.default_rng(0)
    first = generator.integers(3, size=200)
    second = np.where(generator.random(200) < 0.6, first, generator.integers(3, size=200))
    assert kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))


def _blind(study: Study, run_dir: RunDir) -> None:
    """The net of a run calls every tweet positive, and nobody noticed."""
    table = pq.read_table(run_dir.predictions_file)
    column = pa.array([0.9] * table.num_rows, pa.float32())
    name = "network_positive"
    pq.write_table(table.set_column(table.column_names.index(name), name, column), run_dir.predictions_file)
    result = stored(run_dir, Result)
    metrics = dict(result.metrics)
    labels = np.array(table["label"].to_pylist())
    for part in ("validation", "test", "manual"):
        share = float(labels[np.array(table["part"].to_pylist()) == part].mean())
        changes = {"accuracy": share, "precision": [0.0, share], "recall": [0.0, 1.0]}
        metrics[part] = metrics[part].model_copy(update=changes)
    run_dir.write_record(result.model_copy(update={"scores": result.scores | {"network": metrics}}))


def test_nets_that_call_every_tweet_alike_are_marked_and_never_recommended_or_better(study: Study) -> None:
    runs = [{"model.hidden_size": width, "seed": seed} for width in (8, 16) for seed in (1, 2)]
    configs = study.write_grid("widths", "How wide?", runs)
    run_dirs = [study.complete(config, "widths", skill=0.0, linear=0.05) for config in configs]
    for run_dir in run_dirs[2:]:
        _blind(study, run_dir)
    findings = study.findings()
    assert not findings.problems
    assert findings.recommended.configuration.config.model.hidden_size == 8
    ((name, row),) = ((name, row) for name, row in _rows(findings).items() if "always predicts positive" in name)
    assert ("16" in name, row["verdict"]) == (True, "predicts one class only")
    assert any(f"(not eligible): {escape(name)}." in caveat for caveat in caveats(findings))
    page = study.text()
    assert "Best on validation tweets: 8 hidden units;" in page
    assert "16 hidden units \\[always predicts positive\\]" in page


def test_nets_that_call_every_tweet_alike_say_nothing_of_how_seeds_of_others_differ() -> None:
    def runs(only_label: int | None, *accuracies: float) -> Any:
        return [SimpleNamespace(only_label=only_label, score=lambda *_, one=one: one) for one in accuracies]

    learned, blind = runs(None, 0.8, 0.9), runs(1, 0.5, 0.5)
    assert seed_variance_of([learned, blind]) == pooled_variance([[0.8, 0.9]])
    assert seed_variance_of([blind]) == pooled_variance([[0.5, 0.5]])


def test_card_says_once_that_it_holds_for_these_models_alone(study: Study) -> None:
    runs = [{"model.hidden_size": width} for width in (8, 16, 32, 64)]
    configs = study.write_grid("widths", "How wide?", runs)
    for config in configs:
        study.complete(config, "widths", skill=3.0 if config.model.hidden_size == 64 else 0.2)
    page = study.text()
    card = page[page.index("How many hidden units?") :]
    assert card[: card.index("![")].count("without seed replication") == 1


def test_only_net_that_there_is_says_that_it_tells_no_tweets_apart(study: Study) -> None:
    _blind(study, study.single({}, skill=0.0))
    findings = study.findings()
    assert findings.recommended
    assert any(
        said.startswith("Networks that predict the same class for every tweet: BiLSTM") for said in caveats(findings)
    )
