"""Slurm: its commands, the resources and batch files of jobs, and how tasks ended. Only this package uses submitit."""
