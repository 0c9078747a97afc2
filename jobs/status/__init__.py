"""The state of every run of every grid, and how a terminal shows it."""
