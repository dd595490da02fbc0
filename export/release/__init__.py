"""From verified artifacts to one published version."""
