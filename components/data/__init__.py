"""From a source's files to examined, de-duplicated, memory-mapped arrays."""
