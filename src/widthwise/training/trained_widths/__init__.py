"""Widths that are trained: a network learns the bits of its numbers while the price of bits rises."""
