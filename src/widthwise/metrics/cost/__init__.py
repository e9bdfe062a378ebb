"""Cost: what a network takes, exact, without running it."""
