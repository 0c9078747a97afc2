"""A grid becomes Slurm array tasks, which survive what clusters do to them; and is watched, resumed, cancelled."""
