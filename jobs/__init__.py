"""Grids of runs on Slurm or on this machine: submitted, watched, resumed, cancelled.

`grids` (a file becomes runs), `plan` (runs become jobs), `submissions` and `grid_jobs` (what was submitted, and what
became of it), `policy` (what a run's state is, and what is done), `slurm`, `here` (this machine), `tasks` (what a job
does), `session` (the commands). `report` is started as a process and never imported.
"""
