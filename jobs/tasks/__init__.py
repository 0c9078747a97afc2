"""What runs inside a job or a local process: an attempt at one or several runs."""
