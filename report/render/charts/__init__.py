"""The figures, drawn by matplotlib (the heatmap by a template) as SVG; each takes plain values and gives a `Figure`."""
