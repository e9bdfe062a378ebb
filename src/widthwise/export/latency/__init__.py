"""How long networks take, measured on what really runs, beside the float network in the same minutes."""
