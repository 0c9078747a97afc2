"""Runs grids on Slurm or on this machine: submits, watches, resumes and cancels them.

- `grids`: expands a grid file into runs.
- `job_kinds`: the kinds of jobs, and which inputs runs need prepared. `plan`: turns runs into jobs.
- `submissions`: the files of each submission. `grid_jobs`: joins them with Slurm's queue.
- `policy`: derives a run's state, and the action that each command takes.
- `session`: the commands. `slurm` and `local_runner`: run jobs on Slurm, or on this machine. `tasks`: what a job does.

The package `report` is only ever run as a process and never imported.
"""
