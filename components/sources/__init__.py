"""Where images come from: folders, archives, TFDS sets, the bundled digits."""
