"""Parts of the command line. May import all of `jobs` but its `__main__`, which puts the commands together."""
