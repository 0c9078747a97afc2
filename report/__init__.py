"""Turns run directories into a report: read -> compare -> questions and sections -> render. Imports no torch."""
