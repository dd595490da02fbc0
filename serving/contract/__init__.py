"""What a release promises: its files, and how an image becomes what models take."""
