"""The state of every run of every grid, how it is shown, and which runs a command means.

Imports `jobs.grids`, `jobs.slurm` and the local queue; imported by launchers, sessions and the command line.
"""
