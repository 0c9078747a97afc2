"""Run directories become a report: what came out, how sure that is, and how it was made. Imports no torch."""
