"""Where tweets come from: a registry of data sources, and how each is opened, checked and fetched."""
