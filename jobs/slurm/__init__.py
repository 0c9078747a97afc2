"""Slurm: its commands, what jobs ask of it, and what was submitted to it."""
