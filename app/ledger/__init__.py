"""What calls cost, and the rows that prove it."""
