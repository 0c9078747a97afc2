"""How models do on other people's tweets: trained on one set, tested on others, with and without rated words.

Not part of `make bench`, since it trains for an hour: `make bench BENCH=world`. Needs a folder with the files of random
rows of `bench_accuracy`, `sentiment140_test.csv`, and `airline.csv.gz` (label, text), which chooses nothing and is
read with --airline only. Models and what they say stay in --results, so that the same command goes on where it stopped.

Networks learn from --rows of Sentiment140's training tweets, linear baselines from all unless --baseline-rows says how
many; all are tested on the same tweets. Where `vader` is added
to Sentiment140, each of its tweets counts so often that together they count half as much as the others.
"""

import argparse
import csv
import gzip
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from report.statistics import Difference, Side, compare, spread_of
from sentiment.config import DataConfig, RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Console, silent
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.text import Tokenizer, TokenRows
from sentiment.files import write_atomically
from sentiment.inference.stored import open_model
from sentiment.models import baseline as fitting
from sentiment.models import baseline as linear_model
from sentiment.models.baseline import LinearModel
from sentiment.models.lexicon import FEATURES, corpus_texts, lexicon_scores
from sentiment.models.text_model import checks
from sentiment.runs.records import THRESHOLD, Part
from sentiment.runs.run_dir import Results
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext
from tests.benchmarks.bench_accuracy import FOLDS, REAL_TWEETS, ROOT, combine

SHARE = 0.5  # of the weight of Sentiment140's tweets, which the tweets of `vader` beside them have together
BALANCED = ("airline",)  # where a class is rare: the mean of the accuracies on both classes
LEXICON = "lexicon, untrained"
MODELS = ("baseline without rated words", "baseline", "net", "mean without rated words", "mean")
GAINS = (("baseline", "baseline without rated words"), ("mean", "mean without rated words"))

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TestSet:
    """Tweets that are tested on."""

    name: str
    texts: list[str]
    labels: npt.NDArray[np.int64]

    def right(self, probabilities: Probabilities) -> npt.NDArray[np.float64]:
        """Whether each is right, so weighted that the mean is what is measured."""
        right = ((probabilities >= THRESHOLD) == (self.labels == 1)).astype(float)
        if self.name not in BALANCED:
            return right
        return right / (2 * np.bincount(self.labels)[self.labels] / len(self.labels))


@dataclass
class World:
    """What is measured with: the folders and the sizes."""

    tweets: Path
    results: Results
    seeds: range
    with_airline: bool
    console: Console = field(default_factory=lambda: Console(say=_say, progress=silent))

    def config(self, data: dict[str, Any], seed: int = 1) -> RunConfig:
        """A run of the network on some data, with the settings that this project has for it."""
        name = "rnn.yaml" if data["data.source"] == "vader" else "sentiment140.yaml"
        return resolve(read_yaml(ROOT / "configs" / "runs" / name), data | {"seed": seed, "runtime.threads": 1}, name)

    def corpus(self, data: dict[str, Any]) -> Corpus:
        """The tweets that a run with this data trains on and chooses by."""
        return prepare_corpus(self.config(data).data, self.results)

    def table(self, name: str, make: Callable[[], Sequence[tuple[int, str]]]) -> str:
        """A table of labels and texts, written once."""
        path = self.results.root / name
        if not path.exists():
            text = io.StringIO()
            csv.writer(text).writerows([("label", "text"), *make()])
            write_atomically(path, lambda file: file.write(text.getvalue().encode()))
        return str(path)

    @cached_property
    def all_sentiment140(self) -> str:
        """The table of all random rows."""
        path = self.results.root / "sentiment140.csv"
        if not path.exists():
            combine(self.tweets, path)
        return str(path)

    def some_sentiment140(self, rows: int) -> str:
        """The same validation and test tweets, and so many of those for training."""

        def chosen() -> list[tuple[int, str]]:
            corpus = self.corpus({"data.source": self.all_sentiment140})
            train = np.random.default_rng(0).permutation(corpus.rows("train"))[:rows]
            return rows_of(corpus, np.sort(np.concatenate([train, corpus.rows("validation"), corpus.rows("test")])))

        return self.table(f"sentiment140-{rows}.csv", chosen)

    def beside(self, source: str) -> dict[str, Any]:
        """A table with all tweets of `vader` added for training."""
        vader = self.corpus({"data.source": "vader"})
        path = self.table("vader.csv", lambda: rows_of(vader, np.arange(len(vader.labels))))
        others = len(self.corpus({"data.source": source}).rows("train"))
        weight = max(1.0, float(round(SHARE * others / len(vader.labels))))
        return {"data.source": source, "data.extra_train": [{"path": path, "weight": weight}]}

    def test_sets(self) -> list[TestSet]:
        """What all models are tested on but the tweets of `vader`."""
        corpus = self.corpus({"data.source": self.all_sentiment140})
        manual = [(row[0], row[5]) for row in csv.reader(io.StringIO(_read(self.tweets / "sentiment140_test.csv")))]
        sets = [
            set_of("Sentiment140", rows_of(corpus, corpus.rows("test"))),
            set_of("manual", [(int(label == "4"), text) for label, text in manual if label != "2"]),
            set_of("check list", [(int(one.positive), one.text) for one in checks()]),
        ]
        if self.with_airline:
            rows = csv.DictReader(io.StringIO(_read(self.tweets / "airline.csv.gz")))
            sets.append(set_of("airline", [(int(row["label"] == "4"), row["text"]) for row in rows]))
        return sets


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _read(path: Path) -> str:
    """The text of a table; the original's bytes outside of UTF-8 are of no use to anybody."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.decode("utf-8", "replace")


def rows_of(corpus: Corpus, rows: npt.NDArray[np.int64]) -> list[tuple[int, str]]:
    """Label and text of some rows."""
    return list(zip(np.asarray(corpus.labels)[rows].tolist(), corpus_texts(corpus).take(rows).to_pylist(), strict=True))


def set_of(name: str, rows: Sequence[tuple[int, str]]) -> TestSet:
    """A test set of labels and texts."""
    return TestSet(name, [text for _, text in rows], np.array([label for label, _ in rows]))


@contextmanager
def without_rated_words() -> Iterator[None]:
    """Fit a baseline to whose n-grams nothing is added: the columns of the lexicon hold zeros, so their weights too."""

    def nothing(rows: TokenRows) -> npt.NDArray[np.float32]:
        return np.zeros((rows.size, len(FEATURES)), np.float32)

    with mock.patch.object(fitting, "polarity", nothing), mock.patch.object(linear_model, "polarity", nothing):
        yield


class Trained:
    """One training: a baseline with rated words and one without, and a network for each seed; all are kept.

    What they say of texts is kept too, by the name of the test set.
    """

    def __init__(self, world: World, of_baseline: dict[str, Any], of_network: dict[str, Any]) -> None:
        self._world = world
        self._data = of_baseline
        self._networks = [world.config(of_network, seed) for seed in world.seeds]

    def says(self, tests: TestSet) -> dict[str, list[Probabilities]]:
        """What each model says of the texts: one array of each network and mean for each seed."""
        plain = self._linear(tests, rated=False)
        linear = self._linear(tests, rated=True)
        networks = [self._network(config, tests) for config in self._networks]
        of_seeds = (networks, [(plain + net) / 2 for net in networks], [(linear + net) / 2 for net in networks])
        return dict(zip(MODELS, ([plain], [linear], *of_seeds), strict=True))

    def part(self, name: Part, title: str) -> TestSet:
        """A part of the tweets of the training's source."""
        corpus = self._world.corpus(self._data)
        return set_of(title, rows_of(corpus, corpus.rows(name)))

    def _network(self, config: RunConfig, tests: TestSet) -> Probabilities:
        def say() -> Probabilities:
            run_dir = self._world.results.run_dir(config.run_id)
            run_experiment(RunContext(config, self._world.results, run_dir, console=self._world.console))
            return open_model(run_dir.path, "network", self._world.results).read_texts(tests.texts).probabilities

        return self._kept(f"{config.run_id}-{tests.name}", say)

    def _linear(self, tests: TestSet, rated: bool) -> Probabilities:
        corpus = self._world.corpus(self._data)
        name = f"{corpus.path.name}-{'rated' if rated else 'plain'}"

        def say() -> Probabilities:
            model = self._fitted(corpus, name, nullcontext() if rated else without_rated_words())
            tokenizer = Tokenizer(DataConfig().text)
            return model.read(TokenRows.of_tweets([tokenizer(text) for text in tests.texts])).probabilities

        return self._kept(f"{name}-{tests.name}", say)

    def _fitted(self, corpus: Corpus, name: str, context: AbstractContextManager[None]) -> LinearModel:
        path = self._world.results.root / f"{name}.safetensors"
        if not path.exists():
            with context:
                model, settings = fitting.fit_linear_model(corpus, silent)
            self._world.console.say(f"{name}: {settings}")
            path.write_bytes(model.to_bytes())
        return LinearModel.from_bytes(path.read_bytes(), str(path))

    def _kept(self, name: str, say: Callable[[], Probabilities]) -> Probabilities:
        path = self._world.results.root / "said" / f"{name.replace(' ', '_')}.npy"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            said = say()
            write_atomically(path, lambda file: np.save(file, said))
        kept: Probabilities = np.load(path)
        return kept


@dataclass(frozen=True)
class Cell:
    """What one model has right of one test set."""

    right: npt.NDArray[np.float64]  # (seeds, tweets)

    @property
    def side(self) -> Side:
        """Of a comparison."""
        return Side([self.right], is_trained=len(self.right) > 1)


Column = dict[tuple[str, str], Cell]
"""By training and model."""


def column_of(tests: TestSet, trained: dict[str, Trained]) -> Column:
    """What all models have right of one test set."""
    column = {
        (name, model): Cell(np.stack([tests.right(one) for one in said]))
        for name, training in trained.items()
        for model, said in training.says(tests).items()
    }
    return column | {("", LEXICON): Cell(tests.right(lexicon_scores(tests.texts))[None])}


def column_of_folds(world: World, elsewhere: Trained) -> Column:
    """The same of all tweets of `vader`: by models that were trained on the other folds, and on Sentiment140."""
    said: dict[str, list[npt.NDArray[np.float64]]] = {model: [] for model in MODELS}
    tested: list[TestSet] = []
    for fold in range(1, FOLDS + 1):
        data = {"data.source": "vader", "data.folds": FOLDS, "data.fold": fold}
        training = Trained(world, data, data)
        tested.append(training.part("test", f"fold {fold}"))
        for model, of_seeds in training.says(tested[-1]).items():
            said[model].append(np.stack([tested[-1].right(one) for one in of_seeds]))
    column = {("vader", model): Cell(np.concatenate(parts, axis=1)) for model, parts in said.items()}
    texts = [text for one in tested for text in one.texts]
    together = TestSet("vader", texts, np.concatenate([one.labels for one in tested]))
    return column | column_of(together, {"Sentiment140": elsewhere})


def gaps_of(columns: dict[str, Column]) -> dict[tuple[str, str, str, str], Difference]:
    """Differences by test set, training and both models: each model less the lexicon, and what rated words gain."""
    named, pairs = [], []
    for tests, column in columns.items():
        spread = spread_of([cell.right.mean(axis=1) for cell in column.values()])
        for (training, model), cell in column.items():
            others = [(("", LEXICON))] if training else []
            others += [(training, less) for more, less in GAINS if more == model]
            for other in others:
                named.append((tests, training, model, other[1]))
                pairs.append((cell.side, column[other].side, spread))
    return dict(zip(named, compare(pairs, limit=None), strict=True))


def show(columns: dict[str, Column], recommended: dict[str, str]) -> None:
    """Print the table."""
    gaps = gaps_of(columns)
    print("\nMean over seeds in points; in brackets the difference from the lexicon, and its 95 % interval for other")
    print("seeds and tweets, all of the table corrected together. Of `airline` the mean of both classes.\n")
    print("| trained on | model |", " | ".join(columns), "|\n|---|---|", "---|" * len(columns), sep="")
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    for training, model in sorted(rows, key=lambda row: row[0] != ""):
        cells = []
        for tests, column in columns.items():
            cell, gap = column.get((training, model)), gaps.get((tests, training, model, LEXICON))
            cells.append(f"{100 * cell.right.mean():.1f}{f' ({_told(gap)})' if gap else ''}" if cell else "-")
        name = f"**{model}**" if recommended.get(training) == model else model
        print(f"| {training} | {name} |", " | ".join(cells), "|")
        for less in (less for more, less in GAINS if more == model):
            found = [gaps.get((tests, training, model, less)) for tests in columns]
            told = " | ".join(_told(gap) if gap else "-" for gap in found)
            print(f"| {training} | {model}: gain by rated words | {told} |")
    print("\nBold is what would be recommended: the best of net, baseline and mean on validation tweets.")


def _told(gap: Difference) -> str:
    width = "" if gap.half_width is None else f" ± {100 * gap.half_width:.1f}"
    return f"{100 * gap.value:+.1f}{width}"


def recommended_of(training: Trained) -> str:
    """The best model on validation tweets, as a run recommends it."""
    tests = training.part("validation", "validation")
    scores = {
        model: float(np.mean([tests.right(one) for one in said]))
        for model, said in training.says(tests).items()
        if model in ("baseline", "net", "mean")
    }
    _say(f"validation: {scores}")
    return max(scores, key=lambda name: scores[name])


def main() -> None:
    """Train what is not trained yet, test all, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=Path, default=REAL_TWEETS)
    parser.add_argument("--rows", type=int, default=20_000, help="training tweets of Sentiment140 for the networks")
    parser.add_argument("--baseline-rows", type=int, help="the same for the linear baselines; all without it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--airline", action="store_true", help="test on the airlines' tweets too")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "bench_world")
    options = parser.parse_args()
    if not options.tweets.is_dir():
        print(f"world: no real tweets at {options.tweets}; name their folder with --tweets")
        return
    options.results.mkdir(parents=True, exist_ok=True)
    seeds = range(1, options.seeds + 1)
    world = World(options.tweets, Results(options.results), seeds, options.airline)
    vader = {"data.source": "vader"}
    large, small = world.all_sentiment140, world.some_sentiment140(options.rows)
    if options.baseline_rows:
        large = world.some_sentiment140(options.baseline_rows)
    trained = {
        "vader": Trained(world, vader, vader),
        "Sentiment140": Trained(world, {"data.source": large}, {"data.source": small}),
        "Sentiment140 + vader": Trained(world, world.beside(large), world.beside(small)),
    }
    recommended = {name: recommended_of(training) for name, training in trained.items()}
    columns = {tests.name: column_of(tests, trained) for tests in world.test_sets()}
    show({"vader": column_of_folds(world, trained["Sentiment140"])} | columns, recommended)


if __name__ == "__main__":
    main()
