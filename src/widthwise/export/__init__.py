"""A trial's network in the forms that other tools read, a form a file."""
