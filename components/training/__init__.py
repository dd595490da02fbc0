"""The two trainers, twins of one shape, and what they share."""
