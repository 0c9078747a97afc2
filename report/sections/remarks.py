"""What several sections say alike: warnings, how to use a run, and where methods are explained."""

import shlex
from collections import Counter

from markupsafe import Markup

from report.analysis.findings import Findings
from report.read.load import CompletedRun
from report.render import wording
from report.sections.names import dataset_name, state_name
from sentiment.runs.records import Recommendation
from sentiment.runs.run_dir import Results

METHODS = Markup("[How it is computed](#methods).")
"""A link to the section that explains intervals and tests, in Markdown."""

_EXAMPLE = "what a lovely day"


def predict_command(run: CompletedRun, results: Results, model: Recommendation | None = None) -> str:
    """The line that applies a run to a text, by what it recommends or the given model; of several folds the first's."""
    return _use("predict", run, results, _EXAMPLE, *(["--with", model] if model else []))


def export_command(run: CompletedRun, results: Results) -> str:
    """The line that writes a run's model as one file for others; of several folds the first one's."""
    return _use("export", run, results, "model.zip")


def _use(command: str, run: CompletedRun, results: Results, *arguments: str) -> str:
    run_dir = (run.folds[0] if run.folds else run).run_dir.path
    try:
        shown = run_dir.relative_to(results.root.parent)
    except ValueError:
        shown = run_dir
    return shlex.join(["python", "-m", "sentiment", command, str(shown), *arguments])


def warnings(findings: Findings) -> list[str]:
    """What limits the answer, a sentence each."""
    found, said = findings.datasets, []
    runs = findings.study.runs
    states = Counter(run.state.state for run in runs if not run.completed)
    if states:
        listed = wording.listing([f"{number:,} {state_name(state)}" for state, number in states.most_common()])
        have = "has" if states.total() == 1 else "have"
        said.append(f"{states.total():,} of {wording.plural(len(runs), 'run')} {have} no result: {listed}.")
    single = sum(len(one.runs) == 1 for dataset in found for one in dataset.configurations)
    if single:
        many = sum(len(dataset.configurations) for dataset in found)
        which = (
            f"{single:,} of {wording.plural(many, 'configuration')} {'has' if single == 1 else 'have'} one seed only"
        )
        if single == many:
            which = "There is one seed only" + (" of each configuration" if many > 1 else "")
        rest = "" if single == many else "; none of these is recommended, where others have several"
        said.append(f"{which}. Another seed may do better or worse{rest}.")
    if len(found) > 1:
        said.append(
            f"There are runs on {len(found)} sets of tweets, which can't be compared with each other; the answer is "
            f"about {dataset_name(found[0])}."
        )
    return said
