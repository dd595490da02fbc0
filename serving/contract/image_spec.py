"""The preprocessing contract: how encoded bytes become the uint8 array every model takes.

Pillow and NumPy only: the server and the phone-side checks use this module where no framework is
installed. `components/data/transform_tfx.py` is the same contract as a TensorFlow graph.
"""

import dataclasses
import json
import warnings
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # a contract alone is looked at without either
    import numpy as np
    from PIL import Image

Box = tuple[int, int, int, int]
"""(top, left, height, width) in pixels."""
Fit = Literal["crop", "stretch", "pad"]


@dataclasses.dataclass(frozen=True)
class ImageSpec:
    """What a model is fed: `image`, uint8, (N, height, width, channels), values 0 to 255.

    An encoded image is turned upright, brought to `packed_shape`, H x W, and cropped centrally to
    `shape`. The two differ by the margins, in pixels, within which training crops at random. What
    becomes of an image of h x w says `fit`, the same way on every path to a model:

        crop     the central box of its ratio H : W, see `center_box`, is resized to H x W
        stretch  all of it is resized to H x W
        pad      all of it is resized to the central box of H x W of the ratio h : w; the rest is
                 black (the arrays' mean is not known yet when they are packed)

    Resizing is by an antialiased bilinear filter, which sees nothing outside of what it resizes; an
    image of H x W stays as it is. Margins are cut off afterwards, whatever is there.

    `mean` and `std` are those of the packed training split, one value per channel on a 0-to-1
    scale; networks apply them inside their graph, so callers never do.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    margin_height: int = 0
    margin_width: int = 0
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}, expected 1 (grey) or 3 (RGB).")
        if min(self.height, self.width) < 1:
            raise ValueError(f"size is {self.height}x{self.width}, expected at least 1x1.")
        if min(self.margin_height, self.margin_width) < 0:
            raise ValueError(
                f"margins are {self.margin_height}x{self.margin_width}, expected none below 0."
            )
        if self.fit not in get_args(Fit):
            raise ValueError(f"fit is {self.fit!r:.50}, expected {', '.join(get_args(Fit))}.")
        object.__setattr__(self, "mean", tuple(map(float, self.mean)) or (0.0,) * self.channels)
        object.__setattr__(self, "std", tuple(map(float, self.std)) or (1.0,) * self.channels)
        for name in ("mean", "std"):
            if len(getattr(self, name)) != self.channels:
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} values, expected {self.channels}."
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels

    @property
    def packed_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the arrays that training crops."""
        return self.height + self.margin_height, self.width + self.margin_width, self.channels

    @property
    def scale(self) -> tuple[float, ...]:
        """Per channel factor of the normalisation `x * scale + offset` for x in 0 to 255."""
        return tuple(1.0 / (255.0 * s) for s in self.std)

    @property
    def offset(self) -> tuple[float, ...]:
        """Per channel summand of the normalisation, see `scale`."""
        return tuple(-m / s for m, s in zip(self.mean, self.std))

    def to_dict(self) -> dict:
        """Without `fit` where it is `crop`, as all did before there was a choice: servers of that
        time take such a release, and refuse one that they would prepare images for wrongly."""
        values = dataclasses.asdict(self)
        if self.fit == "crop":
            del values["fit"]
        return values

    @classmethod
    def from_dict(cls, values: dict) -> "ImageSpec":
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> "ImageSpec":
        return cls.from_dict(json.loads(text))

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)


def center_box(height: int, width: int, ratio_height: int, ratio_width: int) -> Box:
    """The largest box in the middle of `height` x `width` whose sides are as `ratio_height` to
    `ratio_width`. The side that does not fill is rounded down, to 1 at least; so are top and left.
    """
    if width * ratio_height > height * ratio_width:
        box_height, box_width = height, max(1, (height * ratio_width) // ratio_height)
    else:
        box_height, box_width = max(1, (width * ratio_height) // ratio_width), width
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def boxes(height: int, width: int, spec: ImageSpec) -> tuple[Box, Box]:
    """What is resized of an upright image of `height` x `width`, and where in `spec.packed_shape`
    that then lies."""
    packed_height, packed_width, _ = spec.packed_shape
    source, target = (0, 0, height, width), (0, 0, packed_height, packed_width)
    if spec.fit == "crop":
        source = center_box(height, width, packed_height, packed_width)
    elif spec.fit == "pad":
        target = center_box(packed_height, packed_width, height, width)
    return source, target


def crop_center(images: "np.ndarray", spec: ImageSpec) -> "np.ndarray":
    """The central `spec.shape` of packed images (..., H, W, C), as a view."""
    top, left = spec.margin_height // 2, spec.margin_width // 2
    return images[..., top : top + spec.height, left : left + spec.width, :]


def fit_packed(image: "Image.Image", spec: ImageSpec) -> "np.ndarray":
    """Pillow image to uint8 array of `spec.packed_shape`: upright, and fitted as the spec says."""
    import numpy as np
    from PIL import Image

    from serving.contract.open_image import upright

    image = upright(image, spec.channels)
    (top, left, height, width), target = boxes(image.height, image.width, spec)
    image = image.crop((left, top, left + width, top + height))
    top, left, height, width = target
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image).reshape(height, width, spec.channels)
    if pixels.shape == spec.packed_shape:
        return pixels
    packed = np.zeros(spec.packed_shape, np.uint8)
    packed[top : top + height, left : left + width] = pixels
    return packed


def fit(image: "Image.Image", spec: ImageSpec) -> "np.ndarray":
    """Pillow image to uint8 array of `spec.shape`: the central crop of `fit_packed`."""
    return crop_center(fit_packed(image, spec), spec)


def decode(data: bytes, spec: ImageSpec, max_megapixels: float = 50) -> "np.ndarray":
    """Encoded bytes (JPEG, PNG, GIF, BMP, WEBP, TIFF) to a uint8 array of `spec.shape`.

    Raises ValueError for what ingest would quarantine: other types, animations, damaged or
    truncated files, and more than `max_megapixels`.
    """
    from serving.contract.open_image import open_image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(open_image(data, max_megapixels)[0], spec)
