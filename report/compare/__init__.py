"""What the runs show, as numbers and values; sentences and figures are made elsewhere."""
