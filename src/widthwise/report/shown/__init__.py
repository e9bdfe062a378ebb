"""What of a study is shown, as values: pages, pictures, tables and the terminal take it from here."""
