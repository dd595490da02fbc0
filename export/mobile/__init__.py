"""A release as a folder for phones and other languages."""
