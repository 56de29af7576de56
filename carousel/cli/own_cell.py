"""The options with which a user vouches for the cell of a run that stands in a file."""

from cyclopts import Group

OWN = Group("A cell of your own", sort_key=9)
