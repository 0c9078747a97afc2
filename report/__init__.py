"""Run directories become a report: read -> compare -> questions and sections -> render. Imports no torch."""
