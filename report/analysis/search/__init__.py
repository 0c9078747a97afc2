"""Searches: their trials, their rungs, and what a budget buys.

May import: `report.analysis.questions` and what lies below. Imported by the findings of each grid.
"""
