"""Formats in tests: oracles for what they give, and hypothesis strategies for all of them."""
