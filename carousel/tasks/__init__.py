"""Tasks: data in, metrics and answers out. One folder each."""
