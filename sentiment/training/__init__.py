"""Training: it resumes exactly, ends in time, and records what it measures.

Here is what all of it needs: when to stop, what computes, and the tweets and vectors that are read. `loop` imports
this, `tasks` that as well, and `runs` everything; from outside it imports all but `inference` and what is above that.
"""
