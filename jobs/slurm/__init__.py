"""Slurm: its commands, what jobs ask of it and what it says of their ends. No other package knows submitit."""
