"""The sections of the report, each of which turns runs into sentences, figures and tables."""
