"""A network by name or as given, captured as a graph; passes over it; its groups of channels."""
