"""Every artifact against the model it came from."""
