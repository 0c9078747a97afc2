"""Run directories become a report: what came out, how sure that is, and how it was made. Imports no torch.

The way of the data is read -> compare -> questions and sections -> render. `read` and `render` do not know each other,
and every package may import `statistics`.
"""
