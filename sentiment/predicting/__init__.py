"""Use of trained models: where they are stored, predictions for texts and files, and export to one file."""
