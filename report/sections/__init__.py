"""Sections of the report: findings become sentences, figures and tables. No file is read here, nothing changed."""
