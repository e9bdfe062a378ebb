"""What a search left: the store, trials, the front, the run folder, what its decisions do."""
