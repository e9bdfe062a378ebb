"""What several tests share: networks, toy evaluators, cases, oracles."""
