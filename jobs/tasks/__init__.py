"""The program that Slurm and a local grid start, and the attempts at runs that it makes: only this knows training."""
