"""A trained model as SavedModel, TFLite and ONNX."""
