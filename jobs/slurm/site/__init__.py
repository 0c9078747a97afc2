"""What a site's Slurm is like: its settings and limits, its partitions, and what follows from them.

Imports `jobs.slurm.commands` and `jobs.slurm.resources`.
"""
