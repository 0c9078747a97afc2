"""Training: runs resume bit for bit, stop before the time limit, and record metrics.

- `experiment`: a run from its configuration to its result; jobs that prepare what several runs read
- `preparation`: what a run needs before it is trained
- `attempt`, `trainer`: an attempt from its newest checkpoint to its record in `run.json`, and the training loop
- `publishing`: predictions, metrics, weights and `result.json`
- `checkpoint`, `stop`, `device`: checkpoints and the metric log; requests to stop; devices and random generators
- `task`, `encoding`: the classifier with its tweets and metrics, and the encoders' vectors that it reads
- `tracking`: copies of metrics at Weights & Biases
"""
