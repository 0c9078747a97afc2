"""The training loop: steps, saves and logs of anything that is a `Task`. Imports nothing of `tasks` and `runs`."""
