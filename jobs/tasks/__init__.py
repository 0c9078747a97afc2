"""The programs that Slurm and the local launcher start, and the attempts at runs that they make.

Imports `jobs.slurm` and the table of job kinds; imported by `jobs.local`. These three know training, nothing else does.
"""
