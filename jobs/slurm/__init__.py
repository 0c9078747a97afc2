"""Slurm: its commands, what jobs ask of it, and what was submitted to it.

Imports the table of job kinds only; apart from `launcher`, which needs the states of runs and is imported by
`jobs.launcher`, `jobs.session` and the dry run.
"""
