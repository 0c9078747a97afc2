"""Tasks that take a moment: a few lines of shell that write a run's result in the place of training."""

from typing import Any

from tests.slurm.stage import Stage

_SCRIPT = """
folder={results}/slurm/{grid}/${{SLURM_JOB_NAME#{grid}-}}
run=$(awk '/"tasks"/ {{on = 1}} on && /^      "/ {{gsub(/[ ",]/, ""); print}}' "$folder/submission.json" |
  sed -n "$((${{SLURM_ARRAY_TASK_ID:-0}} + 1))p")
if [ -n "$run" ]; then
  mkdir -p "{results}/runs/{grid}/$run"
  sed "s/{like}/$run/" {result} > "{results}/runs/{grid}/$run/.result" &&
    mv "{results}/runs/{grid}/$run/.result" "{results}/runs/{grid}/$run/result.json"
fi
exit 0
"""


def write_trivial_cluster(stage: Stage, report: dict[str, Any] | None = None, **changes: Any) -> None:
    """A cluster file by which all jobs of a stage, its report too, do next to nothing.

    Args:
        report: what differs for the report.
        changes: what differs for all.
    """
    done = next(stage.prepared.results.runs.glob("single/*/result.json"))
    script = stage.folder / "trivial.sh"
    names = {"results": stage.results.root, "grid": stage.name, "like": done.parent.name, "result": done}
    script.write_text(_SCRIPT.format(**names))
    defaults = {"time_minutes": 10, "memory_gb": 0.1, "gpus": 0, "cpus": 1, "setup": [f". {script}"], **changes}
    stage.write("cluster.yaml", {"defaults": defaults, "report": report or {}})
