"""What a submission would do and cost, before anything is queued."""
