"""What every other package stands on: processes, files, errors, fingerprints."""
