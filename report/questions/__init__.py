"""The study's questions: each file holds the numbers, the sentence and the figure of one.

May import all but `report.build`, which asks them. Imported by nothing else.
"""
