"""Grids of runs on Slurm or on this machine: submitted, watched, resumed, cancelled.

From the bottom to the top: `grids`, the table of `job_kinds`, `slurm`, `status` and `tasks`, `later_rungs`, `local`,
`launcher`, `session`, `planning`, `__main__`. Of `sentiment` only the names and records of run directories are used,
except where `tests/test_imports.py` lists more; `report` is started as a process and never imported.
"""
