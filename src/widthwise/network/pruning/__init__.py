"""Pruning: channels of which no bit reaches an output are taken out of a network whose formats are known."""
