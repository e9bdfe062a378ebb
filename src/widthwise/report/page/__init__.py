"""A study as one HTML page: what it is made of, part by part."""
