"""Several layers of products within one time step."""
