"""Quality: what a network's outputs are worth, a task a file."""
