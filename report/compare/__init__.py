"""What the runs show, as numbers and values; nothing here is put into words or drawn."""
