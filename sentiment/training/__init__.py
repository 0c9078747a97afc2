"""The training loop: exact to resume, aware of the time it has, honest about what came out."""
