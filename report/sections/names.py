"""Display names of configurations, predictors and runs, and shell commands for runs."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from markupsafe import Markup

from report.compare.added import AddedPredictor
from report.compare.datasets import Configuration
from report.compare.ranking import Candidate, Ranked, Recommended
from report.evaluated import Settings
from report.read import Run
from report.render.wording import parameter_value, setting
from sentiment.answers.table import Added
from sentiment.config import RunConfig
from sentiment.console import plural
from sentiment.runs.records import PREDICTORS, SEEDED
from sentiment.runs.state import PRUNED, TIMEOUT
from sentiment.statistics.words import bracketed

LEXICON_REMARK = (
    "This data set was created by the authors of VADER to build the lexicon, so the lexicon has an unfair advantage."
)
# A link to the section that explains intervals and tests, in Markdown.
METHODS = Markup("[Methods](#methods).")
STAR = "\u2605 "


def state_name(state: str) -> str:
    """The state of a run as readers see it: `cancelled`, `timed out`, `out of memory`."""
    return "timed out" if state == TIMEOUT else state.lower().replace("_", " ")


def completed_of(runs: Sequence[Run]) -> str:
    """`32 of 36 runs completed`."""
    return f"{sum(run.completed is not None for run in runs):,} of {plural(len(runs), 'run')} completed"


def unfinished(runs: Iterable[Run]) -> list[Run]:
    """The runs without a result, apart from those that a search has pruned."""
    return [run for run in runs if not run.completed and run.state.state != PRUNED]


def unfinished_sentence(runs: Sequence[Run]) -> str:
    """`2 of 36 runs are not completed`, the same number wherever the page says it."""
    number = len(unfinished(runs))
    return f"{number:,} of {plural(len(runs), 'run')} {'is' if number == 1 else 'are'} not completed"


def model_name(config: RunConfig) -> str:
    """The architecture in a few words: `MiniLM (token vectors) + BiLSTM 2x64`."""
    model = config.model
    name = parameter_value("model.kind", model.kind)
    if model.kind == "rnn":
        name = f"{'Bi' if model.bidirectional else ''}{model.cell.upper()}"
    if "model.hidden_size" not in config.unused_fields():
        layers = f"{model.layers}\u00d7" if model.layers > 1 else ""
        name += f" {layers}{model.hidden_size}"
    if config.encoder:
        encoder = PurePath(config.encoder.model).name
        return f"{encoder} ({parameter_value('encoder.use', config.encoder.use)}) + {name}"
    if config.elmo is None:
        return name
    layer = "layer mix" if config.elmo.layers == "mix" else f"{config.elmo.layers} layer"
    embeddings = "" if config.elmo.combine == "alone" else " + trained embeddings"
    return f"ELMo {PurePath(config.elmo.model).name} ({layer}){embeddings} + {name}"


def configuration_name(configuration: Configuration) -> str:
    """The architecture and the settings in which configurations of it differ; with a mark if it has learned nothing."""
    name = ", ".join([model_name(configuration.config), *settings_in_words(configuration.distinguishing)])
    if configuration.only_label:
        name += f" [always predicts {configuration.only_label}]"
    return name


def settings_in_words(settings: Settings) -> list[str]:
    return [setting(name, value) for name, value in settings.items()]


def predictor_name(candidate: Candidate) -> str:
    """The name of a predictor; of a network, that of its configuration."""
    configuration = candidate.configuration
    if candidate.kind == "network":
        return configuration_name(configuration)
    if candidate.kind == "both":
        return f"{PREDICTORS['both']} ({configuration_name(configuration)} and the linear baseline)"
    return f"{PREDICTORS[candidate.kind]}{bracketed(', '.join(settings_in_words(candidate.settings)))}"


def subject(ranked: Ranked, best: Recommended) -> str:
    """A predictor in a sentence: named as `evaluate` names it, and by its settings where others have the same name."""
    if isinstance(ranked, AddedPredictor):
        return ranked.predictor.subject
    is_clear = ranked.kind in SEEDED and (ranked is best.model or len(best.dataset.configurations) == 1)
    name = PREDICTORS[ranked.kind] if is_clear else predictor_name(ranked)
    return name if ranked.kind == "lexicon" else f"the {name}"


def command_for(best: Recommended, command: str, *arguments: str) -> str:
    """A shell command on the run of the recommended model; of a cross-validated one, on its first part.

    It works in the directory that holds the folder of results.
    """
    first = best.run.trained[0]
    choice = [] if first.result.recommended == best.model.kind else ["--with", best.model.kind]
    return shlex.join(["sentiment", command, str(first.run_dir.path), *arguments, *choice])


def cost_per_thousand(added: Added) -> str:
    """Cost and time of an added predictor for 1,000 tweets; empty if they are unknown."""
    parts = []
    for text, cost in (("cost {}", added.cost), ("{} s", added.seconds)):
        if cost is not None:
            for_thousand = 1000 * cost / added.tweets
            parts.append(text.format(f"{for_thousand:,.0f}" if for_thousand >= 100 else f"{for_thousand:.3g}"))
    return ", ".join(parts)
