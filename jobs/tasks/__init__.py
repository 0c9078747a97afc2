"""The task process that Slurm or the local runner starts; the only package of `jobs` that trains runs."""
