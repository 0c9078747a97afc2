"""What commands know and show of grids: names, the state of runs, the table, logs."""
