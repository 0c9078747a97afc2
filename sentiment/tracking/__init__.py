"""Copies of a run's metric log and scores at Weights & Biases (W&B); the log stays the source of truth.

Only `process` imports wandb. Training starts the copying through `mirror`, and `jobs.sync` starts uploads; both run
`process`, a process of its own, so that no fault of W&B reaches them. This package may import what knows run
directories (`config`, `runs` and below), but neither models nor the training loop.
"""
