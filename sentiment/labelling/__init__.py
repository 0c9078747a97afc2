"""Sheets of tweets to label, and what their labels say of predictors."""
