"""A release in memory, by ONNX Runtime or LiteRT."""
