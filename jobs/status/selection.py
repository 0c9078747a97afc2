"""Which runs a command means."""

from collections.abc import Iterable, Sequence

from jobs.status.grid_status import CANCELLED, RunStatus, planned_grids, read_plan
from sentiment.errors import UsageError
from sentiment.records import GridPlan
from sentiment.run_dir import Results
from sentiment.run_state import HELD

# States by the options of `rerun`.
CAUSES = {
    "timeout": {"TIMEOUT", "DEADLINE"},
    "lost": {"LOST", "NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED", "UNKNOWN"},
    "oom": {"OUT_OF_MEMORY"},
    "failed": {"FAILED", "LAUNCH_FAILED"},
    "cancelled": {CANCELLED},
    "held": {HELD},
}


def find_targets(targets: Sequence[str], results: Results) -> list[tuple[GridPlan, set[str]]]:
    """Plans of the grids meant (all, if none is named) and the ids of the runs meant; no ids mean all of the grid.

    Raises:
        UsageError: a name is neither a grid nor a run.
    """
    plans = {name: read_plan(results, name) for name in planned_grids(results)}
    if not targets:
        return [(plan, set()) for plan in plans.values()]
    found: list[tuple[GridPlan, set[str]]] = []
    named = set(targets)
    for name, plan in plans.items():
        runs = named & {run.run_id for run in plan.runs}
        if name in named:
            found.append((plan, set()))
        elif runs:
            found.append((plan, runs))
        named -= {name, *runs}
    if named:
        known = f"grids here: {', '.join(plans)}" if plans else "there are no grids yet"
        raise UsageError(f"{', '.join(sorted(named))}: neither a grid nor a run in {results.runs}; {known}")
    return found


def select(rows: Iterable[RunStatus], causes: Sequence[str], run_ids: set[str]) -> list[RunStatus]:
    """Runs that ended without a result, or are held, for one of the causes; single runs that are named, for any.

    Without causes all but cancelled runs are meant.
    """
    wanted = set().union(*(CAUSES[cause] for cause in causes)) if causes else set()
    chosen = []
    for row in rows:
        if run_ids and row.run_id not in run_ids:
            continue
        ended = not row.active and row.state in set().union(*CAUSES.values())
        if ended and (row.state in wanted if causes else run_ids or row.state != CANCELLED):
            chosen.append(row)
    return chosen
