"""Networks that nobody here wrote, and what they are measured beside."""
