"""Products, and the generators of the demonstration range."""
