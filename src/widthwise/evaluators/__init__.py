"""Candidates to rows of metrics: the contract, the engine, trained candidates, worker processes."""
