"""A sample of VADER's rated tweets that comes with the program: 1,000 clearly positive or negative ones."""

from dataclasses import replace
from pathlib import Path

from sentiment.config import DataConfig
from sentiment.data.data_source import DataSource, OpenedSource
from sentiment.data.tables.table import TableSource
from sentiment.runs.run_dir import Results

_FILE = Path(__file__).with_name("sample_tweets") / "tweets.csv"


class Sample(DataSource):
    """Needs no network; its columns are the default ones, whatever those of the user's own tables are called."""

    def open(self, config: DataConfig, results: Results) -> OpenedSource:  # noqa: ARG002
        """The file of the sample; the configuration does not matter."""
        opened = TableSource(_FILE).open(DataConfig(), results)
        return OpenedSource(self.name, replace(opened.main, name=self.name))


SOURCE = Sample()
