"""What each operation drew, recovered from its results: the same for both frameworks."""

import dataclasses
from collections.abc import Callable

import numpy as np

from components.augmentation import policy
from components.augmentation.policy import Operation
from pipeline.outcome.preview_sheet import describe
from serving.contract.image_spec import ImageSpec
from tests.helpers.images import photographs

HEIGHT, WIDTH = 33, 41  # not square, so that an operation that confused the two would show


def _zeros() -> np.ndarray:
    return np.zeros((HEIGHT, WIDTH, 1), np.uint8)


def _dot() -> np.ndarray:
    """One bright pixel in the centre; its centroid survives bilinear resampling."""
    image = _zeros()
    image[HEIGHT // 2, WIDTH // 2] = 255
    return image


def _blob() -> np.ndarray:
    """A soft spot ten pixels to the right of the centre."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = (y - HEIGHT // 2) ** 2 + (x - WIDTH // 2 - 10) ** 2
    return np.round(255 * np.exp(-distance / 8)).astype(np.uint8)[..., None]


def _flat() -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 1), 100, np.uint8)


def _steps() -> np.ndarray:
    """Stripes of 80 and 120, so that the mean is 100."""
    image = np.full((HEIGHT, WIDTH - 1, 1), 80, np.uint8)
    image[:, ::2] = 120
    return image


def _noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 1), np.uint8)


def _white() -> np.ndarray:
    return _flat() + 155


def _centroid(images: np.ndarray) -> np.ndarray:
    """(N, 2): y and x of the light, in pixels from the centre."""
    light = images[..., 0] / images[..., 0].sum((1, 2), keepdims=True)
    y, x = np.mgrid[: images.shape[1], : images.shape[2]]
    return np.stack(
        [(light * y).sum((1, 2)) - HEIGHT // 2, (light * x).sum((1, 2)) - WIDTH // 2], 1
    )


def _angle(images: np.ndarray) -> np.ndarray:
    y, x = _centroid(images).T
    np.testing.assert_allclose(np.hypot(y, x), 10, atol=0.1)
    return np.arctan2(y, x)[:, None] / (2 * np.pi)


def _scale(images: np.ndarray) -> np.ndarray:
    y, x = _centroid(images).T
    np.testing.assert_allclose(y, 0, atol=0.05)
    return x[:, None] / 10


def _contrast(images: np.ndarray) -> np.ndarray:
    np.testing.assert_allclose(images.mean((1, 2, 3)), 100, atol=0.01)
    return images.std((1, 2, 3))[:, None] / 20


def _mirrored(images: np.ndarray) -> np.ndarray:
    mirrored = (images == _blob()[:, ::-1]).all((1, 2, 3))
    assert (mirrored | (images == _blob()).all((1, 2, 3))).all()
    return mirrored[:, None]


def _hole(images: np.ndarray) -> np.ndarray:
    """(N, 2): y and x of the centre of the black square of 17 pixels."""
    black = images[..., 0] == 0
    centres = []
    for lines, size in ((black.any(2), HEIGHT), (black.any(1), WIDTH)):
        first, last = lines.argmax(1), size - 1 - lines[:, ::-1].argmax(1)
        assert (lines.sum(1) == last - first + 1).all() and (last - first < 17).all()
        centres.append(np.where(first > 0, first + 8, last - 8))
    assert (black == black.any(2)[:, :, None] & black.any(1)[:, None]).all()
    assert (images[~black] == 255).all()
    return np.stack(centres, 1)


def _reflected(images: np.ndarray) -> np.ndarray:
    """(N, 2): the place in `_noise` with four pixels of its reflection around it."""
    around = np.pad(_noise()[..., 0], 4, mode="reflect")
    crops = np.lib.stride_tricks.sliding_window_view(around, (HEIGHT, WIDTH))
    places = {crops[y, x].tobytes(): (y, x) for y, x in np.ndindex(crops.shape[:2])}
    return np.array([places[image.tobytes()] for image in images[..., 0].astype(np.uint8)])


@dataclasses.dataclass(frozen=True)
class Case:
    """`recover` gives the parameters, (N, k), that made images (N, H, W, 1) from copies of `image`;
    each is declared to be uniform between `low` and `high`, over whole numbers where `whole`."""

    operation: Operation
    image: np.ndarray
    recover: Callable[[np.ndarray], np.ndarray]
    low: tuple[float, ...]
    high: tuple[float, ...]
    whole: bool = False

    def __str__(self) -> str:
        return describe((self.operation,))

    def copies(self, count: int) -> np.ndarray:
        """uint8 (count, H, W, 1)."""
        return np.repeat(self.image[None], count, axis=0)


CASES = [
    Case(policy.Flip(), _blob(), _mirrored, (0,), (1,), whole=True),
    Case(
        policy.Translate(fraction=0.2),
        _dot(),
        lambda images: _centroid(images) / (HEIGHT, WIDTH),
        (-0.2, -0.2),
        (0.2, 0.2),
    ),
    Case(policy.Rotate(fraction=0.1), _blob(), _angle, (-0.1,), (0.1,)),
    Case(policy.Zoom(fraction=0.3), _blob(), _scale, (0.7,), (1.3,)),
    Case(policy.PadCrop(padding=4), _dot(), _centroid, (-4, -4), (4, 4), whole=True),
    Case(
        policy.PadCrop(padding=4, border="reflect"),
        _noise(),
        _reflected,
        (0, 0),
        (8, 8),
        whole=True,
    ),
    Case(
        policy.Brightness(fraction=0.2),
        _flat(),
        lambda images: images.mean((1, 2, 3))[:, None] / 100,
        (0.8,),
        (1.2,),
    ),
    Case(policy.Contrast(fraction=0.2), _steps(), _contrast, (0.8,), (1.2,)),
    Case(
        policy.Cutout(fraction=0.52), _white(), _hole, (0, 0), (HEIGHT - 1, WIDTH - 1), whole=True
    ),
]


def check_drawn_per_image(case: Case, drawn: np.ndarray) -> None:
    """Each image has parameters of its own, spread evenly over the declared range."""
    assert drawn.shape[1] == len(case.low)
    for values, low, high in zip(drawn.T, case.low, case.high):
        if case.whole:
            np.testing.assert_allclose(values, np.round(values), atol=1e-3)
            found, counts = np.unique(np.round(values), return_counts=True)
            np.testing.assert_array_equal(found, np.arange(low, high + 1))
            expected = len(values) / len(found)
            assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
        else:
            slack = 0.01 * (high - low)
            assert low - slack <= values.min() and values.max() <= high + slack
            assert len(np.unique(values.round(7))) > 0.99 * len(values)
            shares, _ = np.histogram(values, bins=10, range=(low - slack, high + slack))
            assert (np.abs(shares - len(values) / 10) < 5 * np.sqrt(len(values) / 10)).all()


def packed_places(count: int, spec: ImageSpec) -> np.ndarray:
    """Copies of an image of the packed size whose pixels all differ, uint8 (count, H, W, 1)."""
    places = np.arange(np.prod(spec.packed_shape), dtype=np.uint8).reshape(spec.packed_shape)
    return np.repeat(places[None], count, axis=0)


def check_crops(images: np.ndarray, spec: ImageSpec) -> None:
    """Crops of `packed_places`: whole, and from every place equally often."""
    assert images.shape[1:] == spec.shape
    places = packed_places(1, spec)[0]
    corners, counts = np.unique(images[:, 0, 0, 0], return_counts=True)
    rows, columns = spec.margin_height + 1, spec.margin_width + 1
    np.testing.assert_array_equal(corners, np.sort(places[:rows, :columns].ravel()))
    expected = len(images) / len(corners)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    for image in images:
        top, left = divmod(int(image[0, 0, 0]), spec.packed_shape[1])
        whole = places[top : top + spec.height, left : left + spec.width]
        np.testing.assert_array_equal(image, whole)


def colours(count: int) -> np.ndarray:
    """Tiles of a photograph, uint8 (count, 32, 32, 3)."""
    tiles = photographs()[1][:416].reshape(13, 32, 20, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
    return tiles[:count]


def check_colours(case, augmented, floating: type) -> None:
    """Three equal channels change as one does, and floats as integers do. `augmented(operation,
    images=...)` is a framework's augmentation from one seed, `floating` a NumPy type."""
    grey = case.copies(8)
    changed = augmented(case.operation, images=grey)
    rgb = augmented(case.operation, images=grey.repeat(3, axis=3))
    np.testing.assert_allclose(rgb, changed.repeat(3, axis=3), atol=1e-3)
    floats = augmented(case.operation, images=grey.astype(floating))
    np.testing.assert_array_equal(floats, changed)
