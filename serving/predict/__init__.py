"""Labels for image files and whole folders, without a server."""
