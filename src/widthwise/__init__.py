"""Search the widths of a neural network: bits and formats of each tensor, channels of each layer."""
