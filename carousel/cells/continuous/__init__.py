"""Discretised differential equations: oscillators, delays and learned time scales."""
