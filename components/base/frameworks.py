"""The frameworks. On their own, so that what only counts them does not depend on networks."""

FRAMEWORKS = ("keras", "torch")

IMPORTED = {
    "keras": "tensorflow",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "litert": "numpy",
    "onnxruntime": "numpy",
}
"""What a process of a framework or runtime imports, see `run_module`."""
