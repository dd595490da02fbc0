"""Configuration of servers and clusters, generated from a release."""
