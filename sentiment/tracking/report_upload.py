"""Uploads the report to Weights & Biases, as an artifact with a version for each upload.

python -m sentiment.tracking.report_upload RESULTS PROJECT ENTITY
"""

import os
import sys
from pathlib import Path

from sentiment.run_dir import Results


def main(arguments: list[str]) -> int:
    """Upload the report in RESULTS; an empty entity means the account's own. The exit code."""
    results, project, entity = Results(Path(arguments[0])), arguments[1], arguments[2] or None
    try:
        print(f"{_upload(results, project, entity)} files at W&B")
    except Exception as error:  # of any kind: whatever W&B does is told in a line
        print(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
        return 1
    return 0


def _upload(results: Results, project: str, entity: str | None) -> int:
    place = results.report / "wandb"
    place.mkdir(exist_ok=True)
    caches = {"WANDB_CACHE_DIR": "cache", "WANDB_DATA_DIR": "staging", "WANDB_ARTIFACT_DIR": "artifacts"}
    os.environ.update({name: str(place / folder) for name, folder in caches.items()})
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    import wandb

    settings = wandb.Settings(console="off", silent=True, disable_code=True, disable_git=True, x_disable_stats=True)
    files = [path for path in results.report.rglob("*") if path.is_file() and not path.is_relative_to(place)]
    artifact = wandb.Artifact("report", type="report")
    for path in files:
        artifact.add_file(str(path), str(path.relative_to(results.report)))
    with wandb.init(
        project=project, entity=entity, job_type="report", dir=str(results.report), mode="online", settings=settings
    ) as run:
        run.log_artifact(artifact).wait()
    return len(files)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # what wandb does at exit may hang
