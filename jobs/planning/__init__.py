"""What a submission would do and cost, before anything is queued. Imported by the command line only.

An exception is `preparation`, which looks for prepared tweets and is imported by the table of job kinds.
"""
