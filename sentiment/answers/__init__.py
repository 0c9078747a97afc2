"""Answers to tweets, of whatever origin, in one kind of table: to be matched, compared, chosen among and counted.

The tables and the rule that recommends are read by runs and the report as well; the rest knows models, and commands
alone know it.
"""
