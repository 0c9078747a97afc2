"""A trained model in use: predictions for texts and files, and scores on labelled files."""
