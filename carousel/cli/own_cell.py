"""The options for a run whose cell is in a Python file, by which a user allows this file to run."""

from cyclopts import Group

OWN = Group("A cell of your own", sort_key=9)
