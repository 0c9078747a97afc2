"""What a network is compared with, on the same tweets: the linear baseline, and the lexicon that nobody trains."""
