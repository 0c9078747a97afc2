"""Damage files of a small study at random, and count the answers: `python -m tests.damage 500 [SEED]`."""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.damage.study import build_study
from tests.damage.trials import damage_once, good_answers, quick_and_without_slurm


def main() -> int:
    """Print each wrong answer, then a table of damages by kind; 1 if there was a wrong one."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as folder, quick_and_without_slurm():
        study = build_study(Path(folder))
        good = good_answers(study)
        for index in range(number):
            trial = damage_once(study, index, seed, good)
            counts[trial.damage, trial.verdict or "right"] += 1
            if trial.verdict:
                print(f"{trial.number}: {trial.file}, {trial.damage}: {trial.verdict} of {trial.command}")
                print(f"    {trial.output!r}", flush=True)
    for (damage, verdict), count in sorted(counts.items()):
        print(f"{damage:<15} {verdict:<10} {count:>5}")
    print(f"{number} damages in {time.process_time():.0f} s of processor time")
    return int(any(verdict != "right" for _, verdict in counts))


if __name__ == "__main__":
    sys.exit(main())
