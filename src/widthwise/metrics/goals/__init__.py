"""What a search wants of its metrics: objectives, bounds, dominance, picking one."""
