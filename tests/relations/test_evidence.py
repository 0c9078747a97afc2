"""Little evidence decides nothing, nothing is passed over, and copies and strays change no claim of a report."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from sentiment.runs.records import MODEL_KINDS, PREDICTORS, Result
from sentiment.runs.run_dir import RunDir, find_runs
from tests.commands import invoke, succeed
from tests.invented import added_dir, write_added
from tests.oracle import recompute_designs
from tests.oracle.recompute_files import MODELS, read_study
from tests.relations.reports import Said, claims_of_models, differing, random_studies, report_without_charts
from tests.relations.studies import write_gold
from tests.relations.worlds import add_answers, copied, edit_answers, new_author, write_cells, write_grid


@random_studies
def test_every_predictor_that_was_trained_is_ranked_and_none_that_is_much_better_is_passed_over(
    seed: int, tmp_path: Path
) -> None:
    author = new_author(tmp_path / "results", seed)
    kinds = ("none", "all")
    author.linear = dict(zip(kinds, author.rng.sample([0.8, 4.0], 2), strict=True))
    skills = {kind: author.rng.choice([0.0, 1.0]) for kind in kinds}
    settings = [{"data.text.stop_words": kind, "seed": run} for kind in kinds for run in (1, 2)]
    write_grid(author, settings, lambda config: skills[config.data.text.stop_words])
    said = report_without_charts(author.results)
    trained = _trained(author.results.root)
    assert trained <= _scores(said)
    best = 100 * max(validation for validation, _ in trained)
    assert said.validated > best - 12, f"{said.headline} although another has {best:.1f} on validation tweets"


def _trained(folder: Path) -> set[tuple[float, float]]:
    """Validation and test macro F1 of each predictor of each configuration that was trained."""
    found = set()
    for grid in read_study(folder).grids:
        for runs in recompute_designs.by_seeds(recompute_designs.tested_of(grid)):
            for kind in MODELS:
                means = (recompute_designs.mean_of(runs, part, "macro_f1", kind) for part in ("validation", "test"))
                found.add(tuple(round(mean, 5) for mean in means))
    return found


def _scores(said: Said) -> set[tuple[float, float]]:
    keys = ("validation_macro_f1", "test_macro_f1")
    return {tuple(round(float(row[key]), 5) for key in keys) for row in said.ranking if all(row[key] for key in keys)}


@random_studies
@pytest.mark.parametrize("answers", [1, 29])
def test_few_answers_of_an_added_predictor_change_no_claim(seed: int, answers: int, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed)
    runs = write_cells(author, seeds=1 + seed % 2)
    before = report_without_charts(author.results)
    add_answers(author, runs[0], "llm", {"validation": 120, "test": answers})
    after = report_without_charts(copied(author.results, tmp_path / "after"))
    assert after.used == before.used
    assert claims_of_models(before) == claims_of_models(after)


@random_studies
def test_one_missing_fold_takes_no_evidence_from_complete_ones(seed: int, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed)
    sizes = (8, 16, 32, 64)
    skills = dict(zip(sizes, author.rng.sample([0.1, 0.5, 1.0, 3.0], 4), strict=True))
    settings = [{"model.hidden_size": size, "data.folds": 3, "data.fold": fold} for size in sizes for fold in (1, 2, 3)]
    runs = write_grid(author, settings, lambda config: skills[config.model.hidden_size])
    whole = report_without_charts(author.results)
    complete = max(sizes, key=lambda size: skills[size])
    less = copied(author.results, tmp_path / "less")
    for size, run_dir in zip((size for size in sizes for _ in range(3)), runs, strict=True):
        if size != complete and run_dir.read_config().data.fold == 2:
            shutil.rmtree(less.run_dir(run_dir.path.name, "cells").path)
    said = report_without_charts(less)
    best = max(float(row["validation_macro_f1"]) for row in whole.ranking if row["seeds"])
    assert any(abs(float(row["validation_macro_f1"] or 0) - best) < 1e-6 for row in said.ranking), said.headline
    tweets = {row["n"] for row in whole.ranking}
    assert {row["n"] for row in said.ranking if row["seeds"]} <= tweets, said.headline


@random_studies
def test_equal_answers_are_equal_everywhere(seed: int, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed, metric=("accuracy", "macro_recall")[seed % 2])
    runs = write_cells(author, seeds=1 + seed % 3)

    def level(table: pd.DataFrame) -> None:
        for kind in ("network", "both", "lexicon"):
            table[f"{kind}_positive"] = table["baseline_positive"]

    for run_dir in runs:
        edit_answers(run_dir, level)
    said = report_without_charts(author.results)
    for row in said.ranking:
        assert row["verdict"] not in ("better", "worse"), row
        if row["difference"] and "frequent" not in row["model"]:
            assert float(row["difference"]) == 0
            low, high = row["difference_low"], row["difference_high"]
            assert not low or float(low) <= 0 <= float(high), row
    compared = {row["score"] for row in said.ranking if "frequent" not in row["model"]}
    assert len(compared) == 1
    assert "lexicon has a higher" not in said.markdown


@random_studies
def test_one_tweet_of_a_class_decides_nothing(seed: int, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed, metric="macro_recall")
    author.shares = [0.5, 0.5]
    runs = write_cells(author, seeds=3)

    def leave_one(table: pd.DataFrame) -> None:
        """One positive test tweet, which the networks alone have right; elsewhere they answer as the baseline does."""
        test = table.index[table["part"] == "test"]
        table.loc[test, "label"] = 0
        table.loc[test, "network_positive"] = table.loc[test, "baseline_positive"]
        table.loc[test[0], ["label", "network_positive", "baseline_positive"]] = [1, 0.9, 0.1]

    for number, run_dir in enumerate(runs):
        edit_answers(run_dir, leave_one)
        if number % 2:  # one of the seeds differs in a tweet of the large class
            edit_answers(run_dir, lambda table: _turn_answer(table, 5))
    for row in report_without_charts(author.results).ranking:
        assert row["verdict"] not in ("better", "worse"), row


def _turn_answer(table: pd.DataFrame, place: int) -> None:
    row = table.index[table["part"] == "test"][place]
    table.loc[row, "network_positive"] = 1 - table.loc[row, "network_positive"]


@random_studies
@pytest.mark.parametrize("kind", ["run", "grid", "gold table"])
def test_a_copied_folder_is_named_and_changes_no_claim(seed: int, kind: str, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed)
    runs = write_cells(author, seeds=1 + seed % 3)
    write_gold(author, "judged.csv")
    before = report_without_charts(author.results)
    more = copied(author.results, tmp_path / "more")
    run_dir = more.run_dir(runs[0].path.name, "cells")
    (table,) = more.answers.iterdir()
    folder, reason = {
        "run": (run_dir.path, f": holds run {run_dir.path.name}"),
        "grid": (run_dir.path.parent, ": holds grid cells; a folder that is not named as its grid is left out"),
        "gold table": (table, ": is not named as its table"),
    }[kind]
    copy = Path(shutil.copytree(folder, folder.with_name(f"{folder.name} (copy)")))
    after = report_without_charts(more)
    assert not differing(before, after)
    assert f"{copy.name}{reason}" in after.markdown.replace("\\", "")
    assert find_runs(run_dir.path.name, more) == [run_dir]
    if kind != "gold table":
        status = invoke("status", "--all", "--results", more.root).output
        assert "".join(f"{copy.name}{reason}".split()) in "".join(status.split())
        assert status.count("COMPLETED") == len(runs) + 1  # of each run its row, and the count of its grid


_SIMPLEST_FIRST = ("linear baseline", "network", "mean of both")


def _place(used: str) -> int:
    """How complex a recommended predictor is; networks have the names of their architectures."""
    return next((place for place, name in enumerate(_SIMPLEST_FIRST) if used.startswith(name)), 1)


def _require_not_surer(less: Said, more: Said) -> None:
    """Of studies with the same scores: what the one with less evidence shows, the one with more shows as well.

    Degrees of freedom are estimated, which moves an interval by less than a hundredth of its width.
    """
    assert _place(less.used) <= _place(more.used)
    known = {row["model"]: row for row in more.ranking}
    assert known.keys() == {row["model"] for row in less.ranking}
    for row in less.ranking:
        other = known[row["model"]]
        assert float(row["score"]) == pytest.approx(float(other["score"]))
        if less.used == more.used and row["difference_low"]:  # of the same pairs
            assert _width(row) >= 0.99 * _width(other), row["model"]
            assert row["verdict"] == "not significant" or float(other["difference_q"]) < 0.055, row["model"]


def _width(row: dict[str, str]) -> float:
    return float(row["difference_high"]) - float(row["difference_low"])


@random_studies
def test_half_the_tweets_with_the_same_scores_are_not_surer(seed: int, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed)
    runs = write_cells(author, seeds=1)

    def repeat(table: pd.DataFrame) -> None:
        for first, second in _halves(table):
            for name in table.columns.drop(["part", "tweet"]):
                table.loc[second, name] = table.loc[first, name].to_numpy()

    for run_dir in runs:
        edit_answers(run_dir, repeat)
    more = report_without_charts(author.results)
    half = copied(author.results, tmp_path / "half")
    for run_dir in runs:
        of_half = half.run_dir(run_dir.path.name, "cells")
        edit_answers(of_half, lambda table: table.drop(index=[row for _, rows in _halves(table) for row in rows]))
    _require_not_surer(report_without_charts(half), more)


def _halves(table: pd.DataFrame) -> list[tuple[pd.Index, pd.Index]]:
    """The rows of the first and of the second half of each part."""
    parts = [table.index[table["part"] == part] for part in table["part"].unique()]
    return [(rows[: len(rows) // 2], rows[len(rows) // 2 :]) for rows in parts]


@random_studies
def test_half_the_seeds_with_the_same_scores_are_not_surer(seed: int, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed)
    runs = write_cells(author, seeds=4)
    names = [f"{kind}_positive" for kind in ("network", "both")]

    def repeat(run_dir: RunDir, earlier: RunDir) -> None:
        answers = pd.read_parquet(earlier.predictions_file)[names]
        edit_answers(run_dir, lambda table: table.update(answers))
        result = run_dir.read(Result)
        first = earlier.read(Result)
        run_dir.result_file.unlink()
        run_dir.write_record(result.model_copy(update={"only_label": first.only_label}))

    for later in (2, 3, 6, 7):
        repeat(runs[later], runs[later - 2])
    more = report_without_charts(author.results)
    half = copied(author.results, tmp_path / "half")
    for later in (2, 3, 6, 7):
        shutil.rmtree(half.run_dir(runs[later].path.name, "cells").path)
    _require_not_surer(report_without_charts(half), more)


def _kind(name: str) -> str:
    """What `evaluate` calls a predictor; networks have the names of their architectures on the page."""
    kinds = ("linear baseline", "mean of both", "VADER", "llm")
    return next((kind for kind in kinds if name.startswith(kind)), "network")


@random_studies
@pytest.mark.parametrize(
    ("stopping", "ranking"), [("accuracy", "accuracy"), ("loss", "macro_recall"), ("macro_recall", "accuracy")]
)
def test_evaluate_and_the_page_say_one_thing_of_a_pair(seed: int, stopping: str, ranking: str, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed, metric=stopping)
    author.shares = [0.8, 0.2]
    skill = author.rng.choice([0.5, 1.0, 3.0])
    (run_dir,) = write_grid(author, [{"seed": 1}], lambda _: skill, metric=ranking)
    tested = pd.read_parquet(run_dir.predictions_file).query("part == 'test'")["tweet"]
    write_added(
        added_dir(author.results, run_dir), "llm", dict.fromkeys(tested, run_dir.read_config().data.label_names[0])
    )
    said = report_without_charts(author.results)
    kinds = {PREDICTORS[kind]: kind for kind in MODEL_KINDS}
    lines = succeed("evaluate", run_dir.path, "--with", kinds[_kind(said.used)]).splitlines()
    rows = [row for row in said.ranking if row["difference_low"]]
    assert len(rows) == 4
    families = ("2 comparisons with models of the run", "1 comparison with the lexicon", "1 comparison with added")
    assert any(f"corrected for {' and for '.join(families)}" in line for line in lines)
    for row in rows:
        pair = re.compile(rf"  The {_kind(said.used)} is .* (?:than|from) (?:the )?{_kind(row['model'])}.*: ")
        line = next(line for line in lines if pair.match(line))
        bounds = re.findall(r"CI (\S+) to (\S+); adjusted p", line)[0]
        low, high = (float(bound.replace("\u2212", "-")) for bound in bounds)
        assert -100 * float(row["difference_high"]) == pytest.approx(low, abs=0.051)
        assert -100 * float(row["difference_low"]) == pytest.approx(high, abs=0.051)
        assert (row["verdict"] == "worse", row["verdict"] == "better") == (low > 0, high < 0), line
