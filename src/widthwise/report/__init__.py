"""What a study and a network look like to people: in a terminal, as a page."""
