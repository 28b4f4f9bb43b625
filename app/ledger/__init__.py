"""What calls cost, and who has spent it."""
