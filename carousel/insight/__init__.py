"""Seeing what a network does, and how it learns."""
