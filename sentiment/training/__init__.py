"""Training: it resumes exactly, ends in time, and records what it measures.

- `experiment`: a run from its configuration to its result
- `context`, `preparing`, `resuming`: what it is executed with and on, and how it goes on from an earlier attempt
- `trainer`: the loop, for anything that is a `Task`; `checkpoint`, `log`, `stop`: what it saves, writes and asks
- `classifying`, `pretraining`: the tasks: tweets are classified, language is modelled
"""
