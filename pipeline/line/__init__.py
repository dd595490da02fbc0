"""The line as a TFX pipeline, and how it is run and watched."""
