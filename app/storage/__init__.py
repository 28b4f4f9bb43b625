"""SQL lives here and only here: rows in, values out."""
