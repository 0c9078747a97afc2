"""From a tweet's text to its tokens. From `sentiment.data` the modules here import nothing else."""
