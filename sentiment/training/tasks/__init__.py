"""What the loop trains: tweets are classified, or language is modelled, and how good it is. Imports no `runs`."""
