"""The release store: immutable, hashed, atomically published, reversible."""
