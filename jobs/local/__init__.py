"""Grids without Slurm: runs in processes of this machine.

`jobs.status` and `jobs.session` read the queue; `jobs.launcher` and `jobs.doctor` import the launcher.
"""
