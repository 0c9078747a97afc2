"""A language model is trained by a job of its own, and the runs that read it wait for that."""

from sentiment.encoders.models import PretrainedDir
from sentiment.runs.records import RunRecord
from tests.slurm.stage import Stage, scenario


@scenario
def test_runs_wait_for_the_job_that_trains_their_language_model(stage: Stage) -> None:
    stage.write_grid(
        elmo__model=["pretrained/tiny"], pretraining__epochs=[1], pretraining__min_count=[1], training__epochs=[1]
    )
    stage.submit()
    stage.wait_completed(stage.runs)
    (card,) = stage.results.pretrained.glob("*/card.json")
    (trained,) = (record.attempts[0] for record in [PretrainedDir(card.parent).read(RunRecord)] if record)
    (run,) = stage.runs
    assert trained.reason == "completed"
    assert trained.job != run.attempts[0].job
    assert str(trained.end) <= run.attempts[0].start
    stage.run("cancel", stage.name)
