"""Light cells: fewer products, or cheaper ones, than a GRU."""
