"""Training: it resumes bit for bit, stops before the time limit, and records metrics.

- `experiment`: a run from its configuration to its result: prepare, train, measure, publish
- `trainer`: the loop, and the attempts in `run.json`
- `checkpoint`, `stop`: checkpoints and the metric log; requests to stop
- `task`, `encoding`: the classifier with its tweets and metrics, and the encoders' vectors that it reads
"""
