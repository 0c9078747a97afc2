"""Sections of the report: they turn findings into sentences, figures and tables. They read and change no file."""
