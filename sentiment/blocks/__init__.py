"""What is told of predictors, as sentences and tables for any page and for the terminal. Does not import torch."""
