"""A table of series: its dates, their frequency, what each column is, and all series on one grid of time."""
