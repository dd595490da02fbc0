"""The whole configuration of a run: presets, what is inferred, overrides."""
