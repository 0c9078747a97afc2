"""From a grid file to checked runs. Knows no scheduler, and imports nothing else of `jobs`; anything may import it."""
