"""What every room stands on: errors, arrays, hashing, files, reading tables, one registry of named things."""
