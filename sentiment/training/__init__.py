"""Training: it resumes exactly, ends in time, and records what it measures.

- `experiment`: a run from its configuration to its result: prepare, train, measure, publish
- `trainer`: the loop, and what `run.json` says of an attempt
- `checkpoint`, `stop`: what the loop writes and asks
- `task`, `encoding`: what is trained and measured, and the vectors of encoders that it reads
"""
