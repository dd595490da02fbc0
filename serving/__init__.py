"""Serving: the release store, an Open Inference Protocol server and a command-line predictor."""

__version__ = "0.1.0"
