"""Grid files, and the runs that they expand to. May not import the rest of jobs."""
