"""From a command to a verdict: configuration, the line, the search, and what a run leaves."""
