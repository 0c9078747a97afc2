"""From blocks to Markdown, HTML and charts; knows nothing of runs."""
