"""The programs that train: what runs inside a Slurm task or a local process. Imported by `jobs.local` only.

The only modules of `jobs`, besides the table of job kinds, that know training.
"""
