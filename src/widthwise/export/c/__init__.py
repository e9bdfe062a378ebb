"""The form "c": integer-only C99."""
