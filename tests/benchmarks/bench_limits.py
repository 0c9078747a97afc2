"""Large grids where a site limits the number of jobs: 1,500 tasks of a moment each, on a test cluster.

    python -m tests.benchmarks.bench_limits [RUNS]

Prints how long each command took that submitted a part, and when the last run was completed.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sentiment.config_file import resolve
from sentiment.run_dir import Results
from tests.slurm.cluster import Cluster
from tests.slurm.stage import BASE, Prepared, Stage
from tests.slurm.trivial import write_trivial_cluster

_SITES = {
    "MaxArraySize 1001": {"MaxArraySize": "1001"},
    "MaxJobCount 200": {"MaxJobCount": "200", "MinJobAge": "2"},
}
_MOST_LEFT = 100


def _complete(runs: int, settings: Mapping[str, str], folder: Path) -> None:
    prepared = Prepared(Results(folder / "prepared"))
    prepared.digest(resolve(BASE, {"training.epochs": 2}, "the base run"))
    with Cluster(folder / "slurm", settings) as cluster:
        stage = Stage(cluster, folder / "stage", prepared)
        write_trivial_cluster(stage)
        stage.write_grid(seed=list(range(runs)))
        begin = time.monotonic()
        while True:
            before = time.monotonic()
            output = stage.submit(expect=None)
            seconds, whole = time.monotonic() - before, time.monotonic() - begin
            print(f"  {whole:5.1f} s, of which {seconds:4.1f} s: {output.splitlines()[0]}")
            if " remain" not in output and "no room" not in output:
                break
            stage.wait(lambda: len(_jobs(cluster)) < _MOST_LEFT, "the ends of jobs")
        stage.wait(lambda: all(run.dir.completed for run in stage.runs), "all results", 600)
        print(f"  {time.monotonic() - begin:5.1f} s: {runs} completed")


def _jobs(cluster: Cluster) -> list[str]:
    return cluster.run("squeue", "-h", "-r", "-t", "all").stdout.splitlines()


def main(arguments: list[str]) -> None:
    """Measure, and print."""
    runs = int(arguments[0]) if arguments else 1500
    for name, settings in _SITES.items():
        print(f"{runs} runs, {name}")
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            _complete(runs, settings, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
