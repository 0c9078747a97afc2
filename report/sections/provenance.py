"""How it was made: code, data, machines, attempts and what they took, and the command for every run."""

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from report.compare.findings import BestRun, Findings
from report.compare.matching import is_search
from report.compare.usage import usage_of
from report.read.load import Run, Study
from report.render import blocks, wording
from report.render.blocks import (
    Block,
    Bullets,
    Command,
    Document,
    Facts,
    Fold,
    Heading,
    ReportSection,
    Row,
    Table,
    Text,
)
from report.render.markdown import code, joined
from report.sections.names import export_command, grid_column, run_name
from sentiment.runs.records import GridPlan, RunRecord

_CITED = {
    "sentiment140": """@techreport{go2009twitter,
  author = {Go, Alec and Bhayani, Richa and Huang, Lei},
  title = {Twitter Sentiment Classification using Distant Supervision},
  institution = {Stanford University},
  year = {2009}
}""",
    "vader": """@inproceedings{hutto2014vader,
  author = {Hutto, C. J. and Gilbert, Eric},
  title = {{VADER}: A Parsimonious Rule-Based Model for Sentiment Analysis of Social Media Text},
  booktitle = {International AAAI Conference on Web and Social Media},
  year = {2014}
}""",
    "attention": """@inproceedings{lin2017structured,
  author = {Lin, Zhouhan and Feng, Minwei and dos Santos, Cicero Nogueira and Yu, Mo and Xiang, Bing and Zhou, Bowen
            and Bengio, Yoshua},
  title = {A Structured Self-Attentive Sentence Embedding},
  booktitle = {International Conference on Learning Representations},
  year = {2017}
}""",
    "elmo": """@inproceedings{peters2018deep,
  author = {Peters, Matthew E. and Neumann, Mark and Iyyer, Mohit and Gardner, Matt and Clark, Christopher and
            Lee, Kenton and Zettlemoyer, Luke},
  title = {Deep Contextualized Word Representations},
  booktitle = {NAACL-HLT},
  year = {2018}
}""",
    "budget": """@inproceedings{dodge2019show,
  author = {Dodge, Jesse and Gururangan, Suchin and Card, Dallas and Schwartz, Roy and Smith, Noah A.},
  title = {Show Your Work: Improved Reporting of Experimental Results},
  booktitle = {EMNLP-IJCNLP},
  year = {2019}
}""",
    "correction": """@article{benjamini1995controlling,
  author = {Benjamini, Yoav and Hochberg, Yosef},
  title = {Controlling the False Discovery Rate: A Practical and Powerful Approach to Multiple Testing},
  journal = {Journal of the Royal Statistical Society: Series B},
  volume = {57}, number = {1}, pages = {289--300},
  year = {1995}
}""",
}


def papers(findings: Findings) -> ReportSection:
    """What a paper needs besides its text."""
    if not findings.main:
        return ReportSection("For papers", [])
    files = joined(
        [
            "Beside this page, a report has each table as LaTeX (booktabs), CSV and JSON in",
            joined([code("tables/"), ","], ""),
            "what stands below in",
            code("documents/"),
            "and each figure as SVG and Vega-Lite specification in",
            code("figures/"),
            "(as PDF too with",
            code("python -m report build --pdf"),
        ]
    )
    cited = Document("references.bib", "\n\n".join(_CITED[name] for name in _names(findings)) + "\n")
    content: list[Block] = [Text(joined([files, ")."], "")), Fold("What to cite (BibTeX)", [cited])]
    if findings.best and findings.best.card:
        content.append(_card(findings.best, findings.best.card, findings))
    return ReportSection("For papers", content)


def _card(best: BestRun, card: str, findings: Findings) -> Fold:
    """The card of the recommended model, and how to get the file that it describes."""
    text = Text("It goes with the file that hands the model on; scores are those of this run alone.")
    write = Command("To write that file", export_command(best.run, findings.study.results))
    return Fold("Model card of the recommended model", [text, write, Document("model_card.md", card)])


def _names(findings: Findings) -> list[str]:
    """Which data and methods the runs used."""
    completed = findings.study.completed
    used = {
        "sentiment140": any(run.read_sentiment140 or "sentiment140" in run.config.data.source for run in completed),
        "vader": any(run.config.data.source in ("vader", "sample") or run.result.lexicon for run in completed),
        "attention": any(run.config.model.pooling == "attention" for run in completed),
        "elmo": any(run.config.elmo for run in completed),
        "budget": any(is_search(grid) for grid in findings.study.grids),
        "correction": True,
    }
    return [name for name, is_used in used.items() if is_used]


_CHOOSING = (
    "Choosing",
    "Everything is chosen on validation tweets: the recommended configuration by its mean F1 over seeds, what of it "
    "predicts (net, linear baseline or the mean of both) by mean accuracy over seeds, the best value of a setting by "
    "the mean F1 of its runs. Test tweets choose nothing; they only say how sure that is.",
)
_SHOWN = (
    "Better, worse, beats, shown",
    "One comparison stands behind every such word: the difference of mean test accuracies on the tweets that both "
    "sides have, for other seeds and other tweets. Seeds and tweets are two crossed random factors (analysis of "
    "variance). The variance between seeds is pooled over the configurations beside it, for numbers of labels over "
    "those with as many; a configuration whose seeds differ more keeps its own. To it comes the variance over tweets "
    "that is not between seeds already. Each part counts with Student's quantile of its own degrees of freedom "
    "(Banerjee 1960), which holds the level with two seeds as well. A difference is shown if its adjusted p is below "
    "0.05: p-values of all claims that stand together are adjusted by Benjamini and Hochberg (1995), and intervals are "
    "widened with them (Benjamini and Yekutieli 2005), so that an interval excludes zero just where the adjusted p is "
    "below 0.05.",
)
_ONE_SEED = (
    "One seed each",
    "Where others have several seeds, their pooled variance is taken for a single seed too. Where none has, the "
    "variance between matched configurations takes its place; where there is but one of each, the exact McNemar test "
    "(1947) compares these trained models, and the sentence says that it holds for these alone.",
)
_SEVERAL = (
    "Several configurations",
    "Corrected together: all of them against the baseline; all pairs of them. Pairs, and not only those with the best, "
    "since seeds that were lucky when they were chosen are lucky on test tweets too.",
)
_ACCURACY = (
    "Test accuracy of a configuration",
    "Mean over seeds, with the interval of the same comparison, cut off at 0 and 100 %; of a single trained model "
    "Wilson's interval over tweets.",
)
_TWO_RUNS = (
    "Two runs in the page",
    "A single comparison: the exact McNemar test on the tweets that just one has right, with Clopper and Pearson's "
    "interval; of these two trained models, and not corrected for other pairs that a reader looks at.",
)
_BASELINE = (
    "The linear baseline",
    "Logistic regression on TF-IDF of words, word pairs and 2 to 5 characters of a word, weighted by naive Bayes, and "
    "on what AFINN's rated words come to with negation; trained on the same tweets as the net.",
)
_OVERFITTING = (
    "Overfitting",
    "By the rule of each configuration: training accuracy less validation accuracy at the best epoch above a "
    "threshold.",
)
_CALIBRATION = (
    "Calibration",
    "Ten groups of equally many tweets; the expected calibration error is their mean distance from the diagonal "
    "(Naeini et al. 2015).",
)


def methods(findings: Findings, of_questions: Sequence[tuple[str, str]]) -> ReportSection:
    """Those that some figure or sentence rests on; none while no run is completed.

    Args:
        of_questions: what questions add, each by its name.
    """
    if findings.main is None:
        return ReportSection("Methods", [])
    configurations = findings.main.configurations
    used = {
        _CHOOSING: True,
        _SHOWN: True,
        _ONE_SEED: any(len(one.runs) == 1 for dataset in findings.datasets for one in dataset.configurations),
        _SEVERAL: len(configurations) > 1,
        _ACCURACY: True,
        _TWO_RUNS: findings.packed is not None and len(findings.packed.run_ids) > 1,
        _BASELINE: True,
        _OVERFITTING: True,
        _CALIBRATION: findings.best is not None and findings.best.scores is not None,
    }
    chosen = [method for method, is_used in used.items() if is_used]
    return ReportSection("Methods", [Facts([*chosen, *dict.fromkeys(of_questions)])])


_HASH = 12
_TRAIN = ("python", "-m", "sentiment", "train")

_MOST_PROBLEMS = 200


def provenance(findings: Findings) -> ReportSection:
    """From the records of all attempts."""
    study = findings.study
    content: list[Block] = [Bullets(_facts(study)), _usage_table(study), *_data_blocks(findings)]
    content += [Heading("The command for every run"), _commands(study)]
    if findings.problems:
        shown = list(findings.problems[:_MOST_PROBLEMS])
        if more := len(findings.problems) - len(shown):
            shown.append(f"and {more:,} more")
        content += [Heading("What could not be read"), Bullets(shown)]
    return ReportSection("How it was made", content)


def _facts(study: Study) -> list[str]:
    records = [run.record for run in study.runs if run.record]
    attempts = [attempt for record in records for attempt in record.attempts]
    if not attempts:
        return ["No run has begun yet."]
    commits = Counter(_commit(record.git_commit, record.git_dirty) for record in records)
    versions = Counter(", ".join(f"{name} {one}" for name, one in record.versions.items()) for record in records)
    devices = Counter(attempt.device for attempt in attempts)
    hosts = sorted({attempt.host for attempt in attempts})
    jobs = {attempt.job for attempt in attempts if attempt.job}
    where = f"{wording.plural(len(jobs), 'Slurm job')}" if jobs else "outside Slurm"
    latest = max(attempt.end or attempt.start for attempt in attempts)
    return [
        f"Code: {_counted(commits)}.",
        *_mixed_code(study),
        f"Versions: {_counted(versions)}.",
        f"Machines: {_counted(devices, 'attempt')} on {wording.plural(len(hosts), 'host')} "
        f"({wording.shortened(', '.join(hosts), 200)}), {where}.",
        *_continued_elsewhere(study),
        f"As of {latest.replace('T', ' ')}, the newest start or end of an attempt.",
    ]


def _mixed_code(study: Study) -> list[str]:
    """Whether one version of the code computed each run, as far as their attempts say."""
    codes = {run_name(run): _codes(run.record) for run in study.runs if run.record}
    mixed = [name for name, found in codes.items() if len(found) > 1]
    if mixed:
        went = f"{wording.plural(len(mixed), 'run')} went on with other code than had begun"
        return [f"{went} {'it' if len(mixed) == 1 else 'them'}: {wording.shortened(', '.join(mixed), 200)}."]
    return ["Each run was computed by one version of the code."] if any(codes.values()) else []


def _codes(record: RunRecord) -> set[str]:
    """Hashes of the code of all attempts since the run last began."""
    first = max((number for number, one in enumerate(record.attempts) if one.first_step == 0), default=0)
    return {attempt.code for attempt in record.attempts[first:] if attempt.code}


def _continued_elsewhere(study: Study) -> list[str]:
    """Runs whose digits may differ from those of a run on one kind of hardware."""
    moved = [run for run in study.runs if run.record and len({*run.record.hardware}) > 1]
    kinds = Counter(" and ".join(dict.fromkeys(run.record.hardware)) for run in moved if run.record)
    if not moved:
        return []
    names = wording.shortened(", ".join(run_name(run) for run in moved), 400)
    return [
        f"Continued on other hardware, so that a repetition may differ in its last digits: "
        f"{wording.plural(len(moved), 'run')} ({names}), on {_counted(kinds)}."
    ]


def _commit(commit: str | None, dirty: bool | None) -> str:
    if commit is None:
        return "not from a git checkout"
    return f"commit {commit[:_HASH]}{' with uncommitted changes' if dirty else ''}"


def _counted(found: Counter[str], noun: str = "run") -> str:
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{what} ({wording.plural(number, noun)})" for what, number in found.most_common())


def _usage_table(study: Study) -> Table:
    rows: list[Row] = [_usage_row(grid.name, grid.runs) for grid in study.grids]
    if study.singles:
        rows.append(_usage_row("single runs", study.singles))
    if len(rows) > 1:
        rows.append(_usage_row("all", study.runs))
    columns = [
        blocks.text("Grid", "grid"),
        blocks.count("Runs", "runs"),
        blocks.count("Completed", "completed"),
        blocks.count("Attempts", "attempts"),
        blocks.count("Stopped by a signal", "signals"),
        blocks.count("Stopped by the time limit", "deadlines"),
        blocks.count("Requeues", "requeues"),
        blocks.count("Failed", "failures"),
        blocks.count("Without an end", "silent"),
        blocks.duration("Work redone", "lost_seconds"),
        blocks.number("GPU-hours", "gpu_hours", 2),
        blocks.number("CPU-hours", "cpu_hours", 2),
    ]
    caption = (
        "What the runs took. Hours are those of attempts whose end is recorded, from start to end (a completed run "
        "without such an attempt counts with the seconds that it trained). Work redone: steps that completed runs did "
        "twice, at the run's mean speed."
    )
    return Table("usage", caption, columns, rows)


def _usage_row(name: str, runs: list[Run]) -> dict[str, Any]:
    completed = sum(run.completed is not None for run in runs)
    return {"grid": name, "runs": len(runs), "completed": completed} | vars(usage_of(runs))


def _data_blocks(findings: Findings) -> list[Block]:
    """The corpora that runs were made on, by fingerprint."""
    completed = [run.completed for run in findings.study.runs if run.completed]
    by_corpus = {run.record.data_fingerprint: run for run in completed}
    used = Counter(run.record.data_fingerprint for run in completed)
    rows: list[Row] = []
    for fingerprint, run in by_corpus.items():
        counts = findings.counts[fingerprint]
        parts = counts["parts"] if counts else {}
        row: dict[str, Any] = {"source": run.config.data.source, "fingerprint": fingerprint[:_HASH]}
        row |= {"runs": used[fingerprint], "stop_words": run.config.data.text.stop_words}
        row |= {name: counts[name] if counts else None for name in ("read", "kept", "duplicates")}
        row |= {part: parts.get(part, {}).get("rows") for part in ("train", "validation", "test")}
        rows.append(row)
    if not rows:
        return []
    columns = [
        blocks.text("Source", "source"),
        blocks.text("Fingerprint", "fingerprint"),
        blocks.text("Stop words removed", "stop_words"),
        blocks.count("Runs", "runs"),
        *(
            blocks.count(name.capitalize(), name)
            for name in ("read", "kept", "duplicates", "train", "validation", "test")
        ),
    ]
    caption = (
        "The corpora, by the fingerprint of source, cleaning and split; counts of tweets where the corpus is here."
    )
    missing = sum(row["kept"] is None for row in rows)
    are = "corpus is" if missing == 1 else "corpora are"
    note: list[Block] = [Text(f"{missing:,} {are} not on this machine.")] if missing else []
    return [Heading("Data"), *note, Table("data", caption, columns, rows)]


def _commands(study: Study) -> Table:
    plans = {grid.name: grid.plan for grid in study.grids}
    rows: list[Row] = [
        {"grid": run.grid, "run": run_name(run), "command": command_of(run, plans[run.grid] if run.grid else None)}
        for run in study.runs
    ]
    columns = [
        grid_column(),
        blocks.text("Run", "run"),
        blocks.Column("Command", "command", _shown_command, numeric=False),
    ]
    caption = "One command for each run, which trains the same configuration to the same result."
    return Table("commands", caption, columns, rows, folded=True)


def _shown_command(row: Row) -> Any:
    return wording.DASH if row["command"] is None else code(row["command"])


def command_of(run: Run, plan: GridPlan | None) -> str | None:
    """What trains this very configuration here and now, for a shell; None if its directory does not say.

    Args:
        plan: of the run's grid; None for a single run, or where the plan cannot be read.
    """
    if plan and run.planned:
        return shlex.join(plan.command(run.planned))
    if run.record is None:
        return None
    typed = run.record.command[1:]
    if typed[:1] == ["train"]:
        return shlex.join([*_TRAIN, *typed[1:]])
    # A task or a program of somebody's has trained it; its stored configuration is a configuration file too.
    return shlex.join([*_TRAIN, str(run.run_dir.config_file)])
