"""Renders blocks as Markdown, HTML and charts; it does not know about runs."""
