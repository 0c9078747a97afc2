"""Training: it resumes exactly, ends in time, and records what it measures. Imports everything but `inference`."""
