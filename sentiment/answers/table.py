"""Tables of answers: tweets with the labels that they have, and the answers of predictors to them, of whatever origin.

A predictor gives probabilities for tweets: a run's network, its baseline, the mean of both, the lexicon, or an added
one. A run's predictions and the tables to which predictors are added have the same columns, which are written and read
here alone: `tweet` (the key), `label`, and by predictor the probabilities of all classes but the first, such as
`network_positive`; those of a run also `part`, others also `id` and `text`. Does not import torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeFloat

from sentiment.data.classes import ConfiguredClasses
from sentiment.errors import RunDirError
from sentiment.files import FolderEntry, sha256_of, write_atomically
from sentiment.runs.records import (
    DEFAULT_THRESHOLD,
    PREDICTORS,
    SEEDED,
    Count,
    Metrics,
    Part,
    PredictorKind,
    Record,
    Result,
)
from sentiment.runs.run_dir import Results, RunDir, check_file, check_sha256, read_record, sealed
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.families import corrected
from sentiment.statistics.metrics import (
    METRIC_NAMES,
    NO_CLASS,
    UNLABELLED,
    CalibrationBin,
    ClassIndices,
    Flags,
    Metric,
    Probabilities,
    calibration_bins,
    kappa,
    measure,
    predicted_classes,
    with_first_class,
)
from sentiment.statistics.paired import PairedCounts, PairedEvidence, total_counts
from sentiment.statistics.words import pair_sentence

# The kind of a predictor: one that every run measures, or one that was added; a person is an annotator, with whom no
# predictor is compared.
Kind = PredictorKind | Literal["added", "annotator"]

TweetKeys = npt.NDArray[np.int64]
# An added predictor with fewer answers is not drawn, and neither recommended nor called the best.
ENOUGH_ANSWERS = 30


@dataclass(frozen=True)
class Predictor:
    """A predictor and its predictions for some tweets, in the order of the tweets.

    Attributes:
        name: as it is shown, such as `linear baseline`.
        probabilities: of the classes, (n, classes), 0 and 1 where it predicts only a class; all 0 where its answer is
            none of the classes, and NaN where it has no answer.
        threshold: decision threshold of the second of two classes.
    """

    name: str
    kind: Kind
    probabilities: Probabilities
    threshold: float = DEFAULT_THRESHOLD

    @classmethod
    def of_classes(cls, name: str, kind: Kind, answers: ClassIndices, classes: int) -> "Predictor":
        """One that answers a class alone.

        Args:
            answers: the index of the class, (n,); NO_CLASS for an answer that is none of them.
            classes: their number.
        """
        one_hot = np.eye(classes + 1)[:, :-1]  # the last row is that of NO_CLASS
        return cls(name, kind, one_hot[answers])

    @property
    def subject(self) -> str:
        """Its name in a sentence: `the network`, and that of one from elsewhere as it is."""
        return self.name if self.kind in ("lexicon", "added", "annotator") else f"the {self.name}"

    @property
    def answered(self) -> Flags:
        """Which tweets it has an answer to, (n,), also one that is none of the classes."""
        return ~np.isnan(self.probabilities[:, 0])

    @property
    def missing(self) -> int:
        """The number of tweets without any answer of it."""
        return len(self.probabilities) - int(self.answered.sum())

    @property
    def other_answers(self) -> int:
        """The number of tweets that it answered with none of the classes."""
        return int((self.answered & (self.predicted == NO_CLASS)).sum())

    @property
    def has_enough_answers(self) -> bool:
        """Whether it has answered so many of the tweets that a chart or a ranking may show it."""
        return int(self.answered.sum()) >= ENOUGH_ANSWERS

    @property
    def predicted(self) -> ClassIndices:
        """The index of the class that it predicts for each tweet, (n,); NO_CLASS where it predicts none."""
        return predicted_classes(self.probabilities, self.threshold)

    @property
    def only_class(self) -> int | None:
        """The index of the class that it predicts for all tweets; None if it predicts several, or none."""
        classes = np.setdiff1d(self.predicted, NO_CLASS)
        return int(classes[0]) if len(classes) == 1 else None

    def right(self, labels: ClassIndices) -> Flags:
        """Which tweets it has right, (n,), for the true classes, (n,)."""
        return np.equal(self.predicted, labels)

    def metrics(self, labels: ClassIndices) -> Metrics:
        """Its metrics on the tweets that it has answered; an answer that is none of the classes is wrong."""
        answered = self.answered
        return measure(labels[answered], self.probabilities[answered], self.threshold)

    def calibration(self, labels: ClassIndices) -> list[CalibrationBin]:
        """The bins of `calibration_bins` for its most probable classes, whatever the threshold.

        It has a prediction for each tweet.
        """
        most_probable = predicted_classes(self.probabilities)
        return calibration_bins(most_probable == labels, self.probabilities.max(axis=1))


def paired_counts(first: Predictor, second: Predictor, labels: ClassIndices) -> list[PairedCounts]:
    """The counts of two predictors on the tweets that both have answered, by class.

    Args:
        labels: the index of each tweet's class, (n,); a class without such tweets has no counts.
    """
    both = first.answered & second.answered
    first_right = first.right(labels)
    second_right = second.right(labels)
    counts = []
    for label in np.unique(labels[both]):
        rows = both & (labels == label)
        only_first = int((rows & first_right & ~second_right).sum())
        only_second = int((rows & second_right & ~first_right).sum())
        counts.append(PairedCounts(only_first, only_second, int(rows.sum())))
    return counts


@dataclass(frozen=True)
class Comparison:
    """The first predictor less the second one, on the tweets that both have answered.

    Attributes:
        classes: the counts of each class of which there are such tweets.
    """

    first: Predictor
    second: Predictor
    classes: list[PairedCounts]
    accuracy: Estimate
    macro_recall: Estimate

    @property
    def counts(self) -> PairedCounts:
        """The counts of all these tweets."""
        return total_counts(self.classes)

    def sentence(self, metric: Metric) -> str:
        """What is said of the pair, see `words.pair_sentence`."""
        difference = self.accuracy if metric == "accuracy" else self.macro_recall
        return pair_sentence(self.first.subject, self.second.subject, difference, METRIC_NAMES[metric])


def compare_predictors(pairs: Sequence[tuple[Predictor, Predictor]], labels: ClassIndices) -> list[Comparison]:
    """Compare pairs of predictors, corrected for their number; pairs without a common tweet are left out."""
    common = [pair for pair in pairs if (pair[0].answered & pair[1].answered).any()]
    by_class = [paired_counts(first, second, labels) for first, second in common]
    with_seeds = [any(predictor.kind in SEEDED for predictor in pair) for pair in common]
    counts = [*zip(by_class, with_seeds, strict=True)]
    accuracies = corrected([PairedEvidence((total_counts(classes),), seeded) for classes, seeded in counts])
    recalls = corrected([PairedEvidence(tuple(classes), seeded) for classes, seeded in counts])
    comparisons = []
    for (first, second), classes, accuracy, recall in zip(common, by_class, accuracies, recalls, strict=True):
        comparisons.append(Comparison(first, second, classes, accuracy, recall))
    return comparisons


@dataclass(frozen=True)
class AnswerTable:
    """Tweets, their labels, and the answers of predictors to them.

    Attributes:
        tweets: their keys, (n,): the same for a tweet in every corpus, and each once in a part.
        labels: the index of each tweet's class, (n,); UNLABELLED for a tweet without a label.
        predictors: in table order.
        ids, texts: of the tweets, (n,); empty where they are not kept with the answers, as with those of a run. Where a
            table has no texts, they are the ids.
    """

    tweets: TweetKeys
    labels: ClassIndices
    predictors: list[Predictor]
    ids: Sequence[str] = ()
    texts: Sequence[str] = ()

    @classmethod
    def joined(cls, parts: Sequence["AnswerTable"]) -> "AnswerTable":
        """Tables with the same predictors, none of them added, one after the other."""
        predictors = []
        for predictor in parts[0].predictors:
            probabilities = [part.of(predictor.kind).probabilities for part in parts]
            predictors.append(replace(predictor, probabilities=np.concatenate(probabilities)))
        tweets = np.concatenate([part.tweets for part in parts])
        labels = np.concatenate([part.labels for part in parts])
        return cls(tweets, labels, predictors)

    @property
    def has_labels(self) -> bool:
        return bool((self.labels != UNLABELLED).any())

    @property
    def has_texts(self) -> bool:
        return [*self.texts] != [*self.ids]

    @property
    def differ(self) -> Flags:
        """Which tweets not all predictors give the same class, (n,)."""
        first, *others = [predictor.predicted for predictor in self.predictors]
        differ: Flags = np.any([first != other for other in others], axis=0)
        return differ

    def of(self, kind: Kind) -> Predictor:
        """The first predictor of a kind."""
        return next(predictor for predictor in self.predictors if predictor.kind == kind)

    def right(self, kind: Kind) -> Flags:
        """Which tweets the predictor of this kind has right, (n,)."""
        return self.of(kind).right(self.labels)

    def of_rows(self, rows: npt.NDArray[Any]) -> "AnswerTable":
        """Some of the tweets.

        Args:
            rows: (n,), which of them; or their indices from 0, in the order in which they are wanted.
        """
        predictors = [replace(each, probabilities=each.probabilities[rows]) for each in self.predictors]
        ids = np.array(self.ids, object)[rows].tolist() if self.ids else ()
        texts = np.array(self.texts, object)[rows].tolist() if self.texts else ()
        return AnswerTable(self.tweets[rows], self.labels[rows], predictors, ids, texts)

    def has_tweets_of(self, other: "AnswerTable") -> bool:
        """Whether the other answers are to the same tweets with the same labels, in the same order."""
        return np.array_equal(self.tweets, other.tweets) and np.array_equal(self.labels, other.labels)


# --- the columns of a file --------------------------------------------------------------------------------------------


def columns_of(table: AnswerTable, classes: Sequence[str]) -> dict[str, Any]:
    """The columns of a table's file by name; probabilities have single precision.

    Args:
        classes: their names, as in all functions below.
    """
    columns: dict[str, Any] = {"tweet": table.tweets, "label": table.labels.astype(np.int8)}
    if table.ids:
        columns |= {"id": table.ids, "text": table.texts}
    for predictor in table.predictors:
        for index, name in enumerate(classes[1:], start=1):
            columns[f"{predictor.kind}_{name}"] = predictor.probabilities[:, index].astype(np.float32)
    return columns


def read_predictions(run_dir: RunDir, result: Result, part: Part, classes: Sequence[str]) -> AnswerTable:
    """The predictions of a completed run for a part that it has.

    Raises:
        RunDirError: the file is missing, damaged or changed.
    """
    check_file(run_dir.predictions_file, result)
    return _read_file(run_dir.predictions_file, [*result.scores], classes, part)


def _read_file(
    path: Path, kinds: Sequence[PredictorKind], classes: Sequence[str], part: Part | None = None
) -> AnswerTable:
    """The rows of a file, or those of one of its parts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Most files are small: threads, and reading ahead of them, take longer than the reading itself.
        table = pq.ParquetFile(path, pre_buffer=False).read(use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    rows = slice(None) if part is None else table["part"].to_numpy() == part
    predictors = []
    for kind in kinds:
        others = np.stack([table[f"{kind}_{name}"].to_numpy()[rows] for name in classes[1:]], axis=1)
        predictors.append(Predictor(PREDICTORS[kind], kind, with_first_class(others)))
    tweets = table["tweet"].to_numpy()[rows]
    labels = table["label"].to_numpy()[rows].astype(np.int64)
    kept = {"ids": "id", "texts": "text"} if "id" in table.column_names else {}
    further = {field: table[column].to_pylist() for field, column in kept.items()}
    return AnswerTable(tweets, labels, predictors, **further)


# --- predictors from elsewhere ----------------------------------------------------------------------------------------


class Added(Record):
    """`NAME.json`: the answers of an added predictor to tweets of a corpus or of a table.

    Attributes:
        note: where the answers come from, such as a language model's prompt.
        annotator: whether the predictor is a person.
        tweets: number of answers in the file; `cost` and `seconds` are those of all of them together.
        predictions: the name of a class by the tweet's key; None where the answer is none of the classes.
    """

    file: str
    file_sha256: str
    note: str
    annotator: bool
    tweets: Count
    cost: NonNegativeFloat | None
    seconds: NonNegativeFloat | None
    predictions: dict[int, str | None]

    def predictor(self, name: str, tweets: TweetKeys, classes: Sequence[str]) -> Predictor | None:
        """It on some tweets, with a name to show; None if it gives none of them a class."""
        indices = {name: index for index, name in enumerate(classes)}
        keys = tweets.tolist()
        answers = np.array([indices.get(self.predictions.get(key) or "", NO_CLASS) for key in keys], np.int64)
        if (answers == NO_CLASS).all():
            return None
        predictor = Predictor.of_classes(name, "annotator" if self.annotator else "added", answers, len(classes))
        predictor.probabilities[[key not in self.predictions for key in keys]] = np.nan
        return predictor


class Agreement(NamedTuple):
    """How far an annotator agrees with the labels of n tweets; `kappa` is Cohen's (1960)."""

    n: int
    alike: float
    kappa: float

    @classmethod
    def of(cls, annotator: Predictor, labels: ClassIndices) -> "Agreement":
        """That on the tweets that the annotator has answered."""
        answered = annotator.answered
        answers = annotator.predicted[answered]
        alike = annotator.right(labels)[answered].mean()
        return cls(len(answers), float(alike), kappa(answers, labels[answered]))

    def sentence(self, annotator: str, part: str = "") -> str:
        of_tweets = f"with the labels of {self.n:,} {part}tweets, {self.alike:.1%} alike"
        return f"{annotator} (annotator): kappa {self.kappa:.2f} {of_tweets}"


def read_added(folder: Path) -> tuple[dict[str, Added], list[str]]:
    """The added predictors in a folder by their names, and a line for each file that cannot be read."""
    predictors: dict[str, Added] = {}
    problems = []
    for file in sorted(folder.glob("*.json")):
        try:
            added = read_record(file, Added)
        except RunDirError as error:
            problems.append(str(error))
            continue
        if added is not None:
            predictors[file.stem] = added
    return predictors, problems


class AnswersRecord(Record):
    """`answers/NAME/table.json`: a table of tweets for which predictors were added.

    Attributes:
        source: the name of its file, or of a built-in source.
        fingerprint: SHA-256 of the tweets and their labels, whatever the order of the rows.
        read_from: SHA-256 of the file as it was read last.
        labels: the classes from the most negative to the most positive one, each with its labels.
        kinds: the predictors in `table.parquet`, in table order; the lexicon only for English texts.
        left_out: number of rows that are not used, by the reason.
    """

    source: str
    fingerprint: str
    read_from: str
    labels: ConfiguredClasses
    kinds: list[PredictorKind]
    left_out: dict[str, Count]
    table_sha256: str

    @property
    def classes(self) -> Sequence[str]:
        return self.labels.names


@dataclass(frozen=True)
class AnswersDir:
    """The directory of a table of tweets for which predictors were added.

    Attributes:
        added: the added predictors.
        choice_file: which of them is best, by the labels of a sheet.
    """

    path: Path

    record_file = FolderEntry("table.json")
    table_file = FolderEntry("table.parquet")
    added = FolderEntry("added")
    choice_file = FolderEntry("choice.json")

    @classmethod
    def of(cls, results: Results, source: str, fingerprint: str) -> "AnswersDir":
        """That of a table, by the name of its file and its content."""
        return cls(results.answers / f"{source.partition('.')[0]}-{fingerprint[:8]}")

    def write(self, table: AnswerTable, record: AnswersRecord) -> None:
        """Write a table with its record, which gets the digest of the table."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        content = pa.table(columns_of(table, record.classes))
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.table_file, lambda file: pq.write_table(content, file))
        digest = sha256_of(self.table_file)
        write_atomically(self.record_file, sealed(record.model_copy(update={"table_sha256": digest})))


@dataclass(frozen=True)
class StoredAnswers:
    """A table of tweets with all predictors.

    Attributes:
        table: the predictors that were added come first: of labelled tweets the most accurate one, but those with fewer
            than ENOUGH_ANSWERS after all others.
        annotators: the people who were added.
        added: the records of both by name.
        problems: a line for each of them that cannot be read.
    """

    directory: AnswersDir
    record: AnswersRecord
    table: AnswerTable
    annotators: list[Predictor]
    added: dict[str, Added]
    problems: list[str]

    @property
    def added_predictors(self) -> list[Predictor]:
        return [predictor for predictor in self.table.predictors if predictor.kind == "added"]

    def compare(self) -> list["Comparison"]:
        """Compare the added predictors with each other and with the lexicon, corrected for the number of pairs."""
        compared = [predictor for predictor in self.table.predictors if predictor.kind != "majority"]
        return compare_predictors([*combinations(compared, 2)], self.table.labels)


def read_answers(path: Path) -> StoredAnswers:
    """The table in a directory.

    Raises:
        RunDirError: a file of the table is missing, damaged or of another table.
    """
    directory = AnswersDir(path)
    record = read_record(directory.record_file, AnswersRecord)
    if record is None:
        raise RunDirError(f"{directory.record_file}: is missing; `sentiment add` writes it")
    check_sha256(directory.table_file, record.table_sha256, "add a predictor again, which rewrites it")
    table = _read_file(directory.table_file, record.kinds, record.classes)
    added, problems = read_added(directory.added)
    predictors = [each.predictor(name, table.tweets, record.classes) for name, each in added.items()]
    found = [predictor for predictor in predictors if predictor and predictor.kind == "added"]
    annotators = [predictor for predictor in predictors if predictor and predictor.kind == "annotator"]
    if table.has_labels:
        found.sort(key=lambda predictor: -predictor.metrics(table.labels).accuracy)
        found.sort(key=lambda predictor: not predictor.has_enough_answers)
    whole = replace(table, predictors=[*found, *table.predictors])
    return StoredAnswers(directory, record, whole, annotators, added, problems)
