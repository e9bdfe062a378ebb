"""Channels: which belong together, and networks with more or fewer of them."""
