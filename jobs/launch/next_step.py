"""What comes next in a grid of which nothing is queued: the only place that decides it.

The final job, the commands `submit` and `rerun`, and a command with `--local` call the same function. It takes the
first of these steps that there is something for, and each is recorded before the next is taken, so that whoever comes
after a kill goes on from there:

1. runs that were interrupted are submitted again (`policy.final_job_action`), and with them trials that were promoted;
2. the current rung of a search is ranked, whose trials have all ended; then step 1 again.

When nothing is left, the grid has ended: grids that wait for it are submitted, and the final job writes the report.
"""

from jobs import policy
from jobs.launch.locked_grid import LockedGrid
from jobs.status.grid_state import GridRows
from sentiment.errors import UnfinishedRungError
from sentiment.runs.state import PLANNED


def go_on(grid: LockedGrid) -> bool:
    """Take the next step; return whether the grid has not ended: something of it is, or may be, in the queue."""
    state = grid.read_state()
    if any(map(policy.may_go_on, state.rows)):
        if grid.jobs.lacks_final_job:
            grid.launch(state, [], {}, retry=True)
        return True
    while not any(map(policy.final_job_action, state.rows)) and _rank(grid, state):
        state = grid.read_state()
    to_submit = [row for row in state.rows if policy.final_job_action(row)]
    for row in to_submit:
        if row.state != PLANNED:
            grid.say(f"{row.run_id} is retried after {row.state} {row.reason}".rstrip())
    if to_submit:
        grid.resubmit(state, to_submit, retry=True)
    return bool(to_submit)


def _rank(grid: LockedGrid, state: GridRows) -> bool:
    """Rank the current rung of a search; return whether there was one, all of whose trials have ended."""
    rungs = state.rungs
    if rungs is None or rungs.current == rungs.last:
        return False
    cancelled_runs = grid.jobs.cancelled_runs
    cancelled = {run_id for run_id, task in grid.jobs.tasks.items() if run_id in cancelled_runs[task.folder]}
    try:
        grid.say(rungs.rank_current(cancelled).rankings[-1].describe())
    except UnfinishedRungError as error:
        grid.say(str(error))
        return False
    return True
