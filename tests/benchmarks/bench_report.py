"""The report of a thousand runs: seconds, memory and size. An argument is the number of test tweets of each."""

import argparse
import resource
import tempfile
import time
from pathlib import Path

from report.build import compose
from report.compare.findings import analyse
from report.read import load_study
from report.render.page import write_report
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from tests.benchmarks.timing import announce
from tests.report.made_up import BASE
from tests.report.studies import write_study

_RUNS = (200, 1000)
_TEST_TWEETS = 120


def main() -> None:
    """Write invented runs and report them, few first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("test_tweets", type=int, nargs="?", default=_TEST_TWEETS, help="of each run")
    parser.add_argument("--runs", type=int, nargs="+", default=_RUNS)
    options = parser.parse_args()
    test_tweets = options.test_tweets
    announce(f"report, {test_tweets:,} test tweets each")
    for runs in options.runs:
        with tempfile.TemporaryDirectory() as folder:
            results = Results(Path(folder) / "results")
            study = write_study(results, 48, test_tweets)
            for seed in range(1, runs - 76 + 1):
                study.complete(
                    resolve(BASE, {"seed": seed, "model.hidden_size": 32}, "bench"), skill=1.0 + seed % 7 / 10
                )
            _measure(results, Path(folder) / "report", runs)


def _measure(results: Results, folder: Path, runs: int) -> None:
    start, used = time.perf_counter(), time.process_time()
    study = load_study(results, [])
    read = time.perf_counter() - start
    page = write_report(compose(analyse(study)), folder)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(study.runs):,} runs: {seconds:.1f} s, of which {read:.1f} s reading; {used:.1f} s of CPU; "
        f"page {page.stat().st_size / 1e6:.2f} MB, peak memory {peak:.0f} MB"
    )
    assert len(study.runs) == runs


if __name__ == "__main__":
    main()
