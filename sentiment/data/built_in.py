"""The built-in data sets: where their files are, and what they hold.

How they are read is in `sources`, their licences and citations in `sentiment.runs.corpus_records`.
"""

from dataclasses import dataclass

from sentiment.files import Remote


@dataclass(frozen=True)
class BuiltIn:
    """A built-in data set; all of them have negative and positive tweets, and some have neutral ones.

    Attributes:
        files: what to download, into the folder for downloads; none if it is bundled with the program.
        classes: its classes unless a configuration names others.
        has_parts: whether it says which of its tweets are for training, validation and test.
        part_of: the built-in data set that holds all of its tweets.
    """

    files: tuple[Remote, ...] = ()
    classes: tuple[str, ...] = ("negative", "positive")
    has_parts: bool = False
    part_of: str | None = None


SAMPLE = "sample"
VADER = "vader"
SENTIMENT140 = "sentiment140"
TWEETEVAL = "tweeteval"

# The source archive of PyPI; the wheel has no tweets.
_VADER_FILE = Remote(
    name="vaderSentiment-3.3.2.tar.gz",
    urls=(
        "https://files.pythonhosted.org/packages/77/8c/4a48c10a50f750ae565e341e697d74a38075a3e43ff0df6f1ab72e186902/"
        "vaderSentiment-3.3.2.tar.gz",
    ),
    size=2_466_783,
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
)
_SENTIMENT140_FILE = Remote(
    name="trainingandtestdata.zip",
    urls=(
        "https://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip",
        "http://cs.stanford.edu/people/alecmgo/trainingandtestdata.zip",
    ),
    size=81_363_704,
    sha256="004a3772c8a7ff9bbfeb875880f47f0679d93fc63e5cf9cff72d54a8a6162e57",
)
_TWEETEVAL_URL = (
    "https://raw.githubusercontent.com/cardiffnlp/tweeteval/3eb5e91dd5070b5a5931df4e70cbab5978e3c50c/datasets/sentiment"
)


def _tweeteval_file(name: str, size: int, sha256: str) -> Remote:
    return Remote(f"{TWEETEVAL}/{name}", (f"{_TWEETEVAL_URL}/{name}",), size, sha256)


_TWEETEVAL_FILES = (
    _tweeteval_file("test_text.txt", 1_156_877, "09a93a55c63fd93f97485ef7302889d7edb4091cd49733aa37da094f0bfa0675"),
    _tweeteval_file("test_labels.txt", 24_568, "6afb4afe9374d1f983bcf9a7c79b108d0f37fdf020a83f30488309bed215db9d"),
    _tweeteval_file("val_text.txt", 219_137, "e5b021e6fc45064c260b09814b803d8f56cada519c4d952d72f43d48a350a964"),
    _tweeteval_file("val_labels.txt", 4_000, "b4566926c72e2e4e2916c864def94e76c4cdde52446af2c7ba4fc2006e057e51"),
    _tweeteval_file("train_text.txt", 4_970_029, "368f01052ea6fd8ffc408a2a2e6ac9669e31542581a0396ef16591ea26eb98a6"),
    _tweeteval_file("train_labels.txt", 91_230, "122bfb1732fb6995b0e5c5f726c0ba457c469c3b6e60513007ce5037f23e65d4"),
)

# By name. Any other value of `data.source` is the path of a table.
BUILT_IN = {
    SAMPLE: BuiltIn(part_of=VADER),
    SENTIMENT140: BuiltIn((_SENTIMENT140_FILE,)),
    TWEETEVAL: BuiltIn(_TWEETEVAL_FILES, classes=("negative", "neutral", "positive"), has_parts=True),
    VADER: BuiltIn((_VADER_FILE,)),
}
SOURCE_CHOICES = f"{', '.join(BUILT_IN)} or the path of a table"


def whole_source(source: str) -> str:
    """The source itself, or the built-in one that holds all of its tweets."""
    return (BUILT_IN[source].part_of if source in BUILT_IN else None) or source
