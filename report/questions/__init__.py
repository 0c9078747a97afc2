"""The study's questions: each file holds the numbers, the sentence and the figure of one."""
