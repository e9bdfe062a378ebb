"""Reports that vendors' tools wrote, read as data."""
