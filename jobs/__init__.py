"""Runs grids on Slurm or on this machine: submits, watches, resumes and cancels them.

- `grids`: expands a grid file into runs.
- `job_kinds`: the kinds of jobs, and which inputs runs need prepared.
- `requested`, `study`: what was asked for of each grid; several grids at once.
- `submissions`: the files of each submission. `grid_jobs`: joins them with Slurm's queue.
- `policy`: derives a run's state, and the action that each command takes.
- `launch`: turns runs into jobs, and decides what comes next in a grid; cancels them. `status`, `dry_run`, `doctor`,
  `sync`: what commands only show, and the copy to Weights & Biases.
- `slurm`: runs jobs; `launch.local_runner` runs them on this machine. `tasks`: what a job does.

The package `report` is only ever run as a process and never imported.
"""
