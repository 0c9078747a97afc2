"""What `jobs status` says of language models, which belong to no grid: grids that read one share it."""

from collections.abc import Iterator

from sentiment.pretrained_runs import OwnModel, read_own_models
from sentiment.run_dir import Results


def show_language_models(results: Results) -> Iterator[str]:
    """A line for each, none if there are none; damage is told in a line as well."""
    models, problems = read_own_models(results)
    for model in models:
        yield f"language model {model.name}: {', '.join(_facts(model))}"
    yield from (f"language model: {problem}" for problem in problems)


def _facts(model: OwnModel) -> Iterator[str]:
    yield model.state.state + (f" ({model.state.reason})" if model.state.reason else "")
    if model.attempts > 1:
        yield f"attempt {model.attempts}"
    if model.step is not None:
        yield f"step {model.step:,}"
    if model.points:
        last = model.points[-1]
        yield f"epoch {last.epoch}, {last.tokens:,} tokens read"
        yield f"perplexity {last.forward:.1f} forward and {last.backward:.1f} backward"
