"""Grids that wait for another one: its final job submits them."""

from jobs.requested import read_waiting
from tests.jobs.grid_files import starts_from
from tests.slurm.stage import SHORT, Stage, scenario


@scenario
def test_final_job_submits_the_grid_that_waits(stage: Stage) -> None:
    stage.reports = True
    stage.write_cluster()
    stage.write_grid(training__learning_rate=[0.002, 0.004], **SHORT)
    stage.more = starts_from("grid", "best", count=2)
    stage.name = "later"
    stage.write_grid(model__dropout=[0.2])
    output = stage.run("submit", "grid.yaml", "later.yaml", "--cluster", "cluster.yaml")
    assert "grid later: WAITING for grid" in output
    stage.wait(lambda: read_waiting(stage.results, "later") is None, "the end of the wait")
    stage.cancel("grid")  # a report would keep others waiting
    stage.wait_completed(stage.runs)
    assert all(run.matches_uninterrupted() for run in stage.runs)
    stage.cancel("later")
