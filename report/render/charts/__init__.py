"""The figures as Vega-Lite specifications; each function takes plain values and gives a `Figure`."""
