"""The linear baseline, of which there is one for each corpus."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sentiment.config import DataConfig
from sentiment.data.corpus.corpus import prepare_corpus
from sentiment.run_dir import Results

FIT = """
    import sys
    from pathlib import Path
    from sentiment.data.corpus.corpus import open_corpus
    from sentiment.models.baseline import linear_baseline

    said = []
    baseline = linear_baseline(open_corpus(Path(sys.argv[1])), lambda what, done, total: said.append(what))
    print(baseline.probabilities.tobytes().hex(), said.count("fitting the linear baseline"))
"""


@pytest.mark.slow
def test_of_several_processes_one_fits_and_all_have_the_same_baseline(tweets_file: Path, tmp_path: Path) -> None:
    corpus = prepare_corpus(DataConfig(source=str(tweets_file)), Results(tmp_path))
    command = [sys.executable, "-c", textwrap.dedent(FIT), str(corpus.path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    baselines, fits = zip(*(process.communicate(timeout=60)[0].split() for process in processes), strict=True)
    assert baselines[0] == baselines[1]
    assert len(baselines[0]) == 8 * len(corpus.labels)
    assert sorted(fits) == ["0", "1"]
