"""From a config to a finished study: the parts, the loop, its limits, comparing strategies."""
