"""Parts of the command line. May import all of `sentiment` but its `__main__`, which puts the commands together."""
