"""A language model that needs several times the time that its job gets: trained in several lives, bit for bit."""

from sentiment.runs.pretrained import PretrainedDir, pretrained_dirs
from tests.slurm.scenario import scenario
from tests.slurm.stage import Stage

# More than Slurm's shortest time limit, a minute of which a third is over when the first step begins.
_EPOCHS = 30
_PATIENCE_SECONDS = 1200.0


@scenario
def test_language_model_is_trained_over_several_jobs_lives_and_read_by_the_runs_that_wait_for_it(stage: Stage) -> None:
    stage.write_cluster({"pretrain": {"time_minutes": 1, "attempts_without_progress": 10}})
    stage.write_grid(
        elmo__model=["pretrained/tiny"],
        pretraining__epochs=[_EPOCHS],
        pretraining__patience=[None],
        pretraining__batch_size=[8],
        pretraining__log_every=[1],
        training__epochs=[2],
        seed=[1, 2],
    )
    stage.submit()
    stage.wait(lambda: list(pretrained_dirs(stage.results)), "a language model")
    (model,) = pretrained_dirs(stage.results)
    stage.wait(lambda: model.completed, f"the language model in {model.path}", _PATIENCE_SECONDS)
    stage.wait_completed(stage.runs)
    record = model.read_record()
    assert record is not None
    *cuts, end = record.attempts
    assert end.reason == "completed"
    assert cuts
    assert len({attempt.job for attempt in record.attempts}) == 1  # requeued, not submitted again
    assert [cut.last_step for cut in cuts] == [later.first_step for later in record.attempts[1:]]
    assert all(run.dir.read_record() for run in stage.runs)
    assert _content(model) == _content(stage.prepared.language_model(stage.runs[0].dir.read_config()))
    stage.run("cancel", stage.name)


def _content(model: PretrainedDir) -> list[bytes]:
    return [file.read_bytes() for file in (model.weights_file, model.options_file, model.metrics_file)]
