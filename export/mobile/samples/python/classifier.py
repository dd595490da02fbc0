"""A released image classifier in Python: copy this file into your own program.

    pip install ai-edge-litert numpy pillow

    classifier = Classifier("bundle", "model.tflite")
    classifier.classify(Image.open("photo.jpg"))        # [("cat", 0.93), ("dog", 0.05), ...]

`python classifier.py photo.jpg [model.tflite]` does that with the bundle that it lies in.
"""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

BUNDLE = Path(__file__).resolve().parents[1]


class Classifier:
    """One TFLite file of a bundle; not for several threads at once."""

    def __init__(self, bundle: str | Path = BUNDLE, model: str = "model.tflite", threads: int = 1):
        self.contract = json.loads((Path(bundle) / "contract.json").read_text(encoding="utf-8"))
        self._interpreter = Interpreter(str(Path(bundle) / model), num_threads=threads)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()

    def preprocess(self, picture: Image.Image) -> np.ndarray:
        """uint8 (height, width, channels): the picture, fitted to the model's size."""
        spec = self.contract["image_spec"]
        height, width = spec["height"], spec["width"]
        packed = width + spec["margin_width"], height + spec["margin_height"]
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip them
            wide = np.asarray(picture).astype(np.uint32)
            picture = Image.fromarray(((wide + 128) // 257).astype(np.uint8))
        picture = picture.convert("L" if spec["channels"] == 1 else "RGB")
        left, top, right, bottom = 0, 0, *packed
        if spec["fit"] == "crop":
            picture = picture.crop(_central_box(picture.size, packed))
        elif spec["fit"] == "pad":
            left, top, right, bottom = _central_box(packed, picture.size)
        elif spec["fit"] != "stretch":
            raise ValueError(f"fit is {spec['fit']}, expected crop, stretch or pad")
        fitted = Image.new(picture.mode, packed)  # black
        fitted.paste(
            picture.resize((right - left, bottom - top), Image.Resampling.BILINEAR), (left, top)
        )
        top, left = spec["margin_height"] // 2, spec["margin_width"] // 2
        pixels = np.asarray(fitted).reshape(*packed[::-1], -1)
        return pixels[top : top + height, left : left + width]

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """float32 (classes,) of one image: uint8 (height, width, channels)."""
        pixels = np.broadcast_to(pixels, self._input["shape"][1:])  # model_rgb takes grey thrice
        self._interpreter.set_tensor(self._input["index"], np.ascontiguousarray(pixels)[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])[0]

    def classify(self, picture: Image.Image, k: int = 3) -> list[tuple[str, float]]:
        """The k most probable classes of a picture of any size, with their probabilities."""
        found = self.probabilities(self.preprocess(picture))
        return [(self.contract["labels"][i], float(found[i])) for i in np.argsort(-found)[:k]]


def _central_box(size: tuple[int, int], ratio: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the largest central box of `size` with that aspect ratio."""
    (width, height), (ratio_width, ratio_height) = size, ratio
    if width * ratio_height > height * ratio_width:
        box = max(1, height * ratio_width // ratio_height), height
    else:
        box = width, max(1, width * ratio_height // ratio_width)
    left, top = (width - box[0]) // 2, (height - box[1]) // 2
    return left, top, left + box[0], top + box[1]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python classifier.py PICTURE [MODEL_FILE]")
    classifier = Classifier(BUNDLE, sys.argv[2] if len(sys.argv) > 2 else "model.tflite")
    for label, probability in classifier.classify(Image.open(sys.argv[1])):
        print(f"{probability:.4f}  {label}")
