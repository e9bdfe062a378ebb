"""What a candidate is judged by: quality from predictions, cost from the network alone."""
