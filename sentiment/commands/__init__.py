"""The commands for tweets, runs and models, one module for each. Imported by the command line alone.

A command line is read before anything heavy is imported.
"""
