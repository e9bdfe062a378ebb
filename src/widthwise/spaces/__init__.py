"""Spaces: what each kind of search may choose, built from a graph."""
