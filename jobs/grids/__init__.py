"""Expands grid files into validated runs. Independent of any scheduler."""
