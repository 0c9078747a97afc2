"""Data sources: each is found by its name, says what it lacks and how that is fetched, and takes one file to add."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.grids.requirements import missing_for
from sentiment.__main__ import app
from sentiment.config import DataConfig, RunConfig
from sentiment.console import silent
from sentiment.data import sources
from sentiment.data.corpus.corpus import find_corpus, prepare_corpus
from sentiment.data.data_source import source_choices, source_names
from sentiment.data.registry import find_source
from sentiment.data.tables import sentiment140
from sentiment.data.tables.table import TableSource
from sentiment.errors import DataError
from sentiment.runs.run_dir import Results, RunDir
from tests.data.made_up import sentiment140_lines
from tests.small_runs import Experiment, small_config

HAIKU = """
    '''Poems of three lines.'''

    from sentiment.data.data_source import DataSource, OpenedSource, TweetFile
    from sentiment.data.tables.rows import Row


    class Haiku(DataSource):
        archive = "haiku.txt"

        def open(self, config, results):
            def read():
                for line, text in enumerate((results.downloads / self.archive).read_text().splitlines(), start=1):
                    yield Row(str(line), None, line % 2, text, line)

            return OpenedSource(self.name, TweetFile(self.name, "0" * 64, "haiku", read))

        def fetch(self, results, progress):
            results.downloads.mkdir(parents=True, exist_ok=True)
            text = "".join(f"an old pond of day {number}\\n" for number in range(300))
            (results.downloads / self.archive).write_text(text)


    SOURCE = Haiku()
"""


@pytest.fixture
def haiku(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A data source that consists of one new module."""
    folder = tmp_path / "more sources"
    folder.mkdir()
    (folder / "haiku.py").write_text(textwrap.dedent(HAIKU))
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(folder)])
    yield
    sys.modules.pop("sentiment.data.sources.haiku", None)
    if hasattr(sources, "haiku"):
        del sources.haiku


@pytest.mark.usefixtures("haiku")
def test_a_new_source_is_one_module_and_works_everywhere(results: Results) -> None:
    config = RunConfig(data=DataConfig(source="haiku"))
    assert source_choices() == "haiku, sample, sentiment140, vader or the path of a table"
    lacking = f"its tweets are not in {results.downloads}; fetch them with `make data DATA=haiku`"
    assert missing_for([config, config], results) == [f"data.source = 'haiku': {lacking}"]
    done = CliRunner().invoke(app, ["data", "haiku", "--results", str(results.root)])
    assert done.exit_code == 0, done.output
    assert "haiku: 300 rows read, 300 kept" in done.output
    assert missing_for([config], results) == []
    corpus = prepare_corpus(config.data, results)
    assert corpus.dataset == "haiku"
    assert len(corpus.labels) == 300


def test_the_named_sources_are_the_modules_of_their_package() -> None:
    assert source_names() == ["sample", "sentiment140", "vader"]
    assert [find_source(name).name for name in source_names()] == source_names()


@pytest.mark.parametrize(
    ("code", "slow"),
    [
        ("from sentiment.data.data_source import source_choices; source_choices()", {"pydantic"}),
        ("from sentiment.data.registry import find_source; find_source('vader'); find_source('t.parquet')", set()),
    ],
)
def test_sources_are_listed_and_found_without_importing_anything_slow(code: str, slow: set[str]) -> None:
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "numpy", "pandas", "pyarrow", "nltk", *slow}


def test_any_other_name_is_the_path_of_a_table(results: Results) -> None:
    source = find_source("~/vadr")
    assert isinstance(source, TableSource)
    assert source.missing(results) == "no such file; valid: sample, sentiment140, vader or the path of a table"
    with pytest.raises(DataError, match=r"/vadr: no such file; valid: sample, sentiment140, vader or the path of a ta"):
        prepare_corpus(DataConfig(source="~/vadr"), results)
    source.fetch(results, silent)


def test_the_sample_is_never_missing(results: Results) -> None:
    assert find_source("sample").missing(results) is None


def test_a_corpus_knows_which_data_set_was_read(table: Path, results: Results) -> None:
    config = DataConfig(source=str(table))
    assert prepare_corpus(config, results).dataset == "table"
    corpus = find_corpus(config, results)
    assert corpus is not None
    assert corpus.dataset == "table"
    assert prepare_corpus(DataConfig(source="sample"), results).dataset == "sample"


def test_a_name_in_a_path_says_nothing_and_a_part_of_sentiment140_is_a_table(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, whole = tmp_path / "sentiment140.csv", tmp_path / "any.csv"
    part.write_text("".join(sentiment140_lines(200)))
    whole.write_text("".join(sentiment140_lines(300)))
    monkeypatch.setitem(sentiment140.MEMBER_ROWS, sentiment140.TRAINING, 300)
    assert prepare_corpus(DataConfig(source=str(part)), results).dataset == "table"
    assert prepare_corpus(DataConfig(source=str(whole)), results).dataset == "sentiment140"


@pytest.mark.slow
def test_the_record_of_a_run_names_its_data_set(tmp_path: Path, tweets_file: Path) -> None:
    config = small_config(tweets_file, training__epochs=1)
    run = Experiment(config, Results(tmp_path / "results"), RunDir(tmp_path / "run"))
    run.complete()
    record = run.run_dir.read_record()
    assert record is not None
    assert record.dataset == "table"
