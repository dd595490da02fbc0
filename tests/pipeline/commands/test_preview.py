"""The contact sheet: originals beside what each framework's policy makes of them."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from components.augmentation import policy
from components.augmentation.policy import AugmentConfig
from components.base.fingerprint import ROOT
from components.base.refusal import DataRefused
from components.data.arrays import ImageArrays
from components.sources.config import DataConfig
from components.sources.open_source import open_source
from components.sources.source import RawImage
from pipeline.commands.preview import one_per_class, raw_images
from pipeline.configuration.configure import configure
from pipeline.outcome.preview_sheet import contact_sheet, describe, write_preview
from serving.contract.image_spec import ImageSpec
from tests.helpers.augmentation import colours
from tests.helpers.command_line import darkroom
from tests.helpers.images import encode, tile, write_class_folders
from tests.helpers.training_data import write_arrays

pytestmark = pytest.mark.usefixtures("warm_processes")

DARK = (policy.Brightness(fraction=0.2),)
HOLE = (policy.Cutout(fraction=0.5),)


def pixels(path) -> np.ndarray:
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        return np.asarray(sheet.convert("RGB"))


def tiles(sheet: np.ndarray, top: int, size: int, columns: int = 9) -> list[np.ndarray]:
    """The pictures of the row that begins at `top`, from the original to the last variant."""
    right = sheet.shape[1] - 8
    lefts = [right - (columns - n) * (size + 4) + (8 if n else 0) for n in range(columns)]
    return [sheet[top : top + size, left : left + size] for left in lefts]


def sheet_of(names: dict[int, str], classes: int, size: int = 32) -> np.ndarray:
    originals = colours(len(names)).repeat(size // 32, axis=1).repeat(size // 32, axis=2)
    variants = np.repeat(originals[:, None], 8, axis=1)
    return np.asarray(contact_sheet(names, originals, {"PyTorch: flip": variants}, classes))


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    return ImageArrays(write_arrays(tmp_path_factory.mktemp("preview") / "arrays"))


def test_every_class_shows_its_original_and_eight_different_variants(arrays, tmp_path):
    config = AugmentConfig(keras=HOLE, torch=HOLE)
    write_preview(arrays, config, tmp_path / "work", tmp_path / "preview.png")
    sheet, split = pixels(tmp_path / "preview.png"), arrays.split("train")
    assert not (tmp_path / "work/keras").exists()  # one process speaks for two equal policies
    for label in range(10):
        original, *variants = tiles(sheet, 28 + label * 100, 96)
        first = split.images(np.flatnonzero(split.labels == label)[:1])[0]
        np.testing.assert_array_equal(original[::12, ::12, :1], first)
        assert len(np.unique([v.tobytes() for v in variants])) > 4
        assert all((v == original).mean() > 0.5 for v in variants)


def test_a_framework_alone_draws_its_own_policy(arrays, tmp_path):
    config = AugmentConfig(keras=HOLE, torch=HOLE)
    write_preview(arrays, config, tmp_path / "work", tmp_path / "preview.png", ("keras",))
    assert (tmp_path / "work/keras").is_dir() and not (tmp_path / "work/torch").exists()
    assert pixels(tmp_path / "preview.png").shape[0] == 28 + 10 * 100


def test_different_policies_are_drawn_by_their_own_frameworks_under_headings(arrays, tmp_path):
    config = AugmentConfig(keras=DARK, torch=HOLE)
    write_preview(arrays, config, tmp_path / "work", tmp_path / "preview.png")
    sheet = pixels(tmp_path / "preview.png")
    assert sheet.shape[0] == 2 * (28 + 10 * 100)
    for block, dark in ((0, True), (28 + 1000, False)):
        original, *variants = (t.astype(float) for t in tiles(sheet, block + 28, 96))
        ratios = [v[original > 0] / original[original > 0] for v in variants]
        # Brightness keeps proportions, cutout keeps values or makes them zero.
        assert all((0.79 <= r).all() and (r <= 1.21).all() for r in ratios) == dark
        assert all(np.isin(r, (0, 1)).all() for r in ratios) != dark


def test_a_heading_says_what_the_policy_is():
    operations = (policy.Flip(), policy.PadCrop(padding=4), policy.Brightness(fraction=0.2))
    assert describe(operations) == "flip, pad_crop 4, brightness 0.2"
    assert describe((policy.PadCrop(padding=2, border="reflect"),)) == "pad_crop 2 reflect"
    assert describe(()) == "no augmentation"


def test_more_classes_than_rows_are_mentioned_below():
    names = {label: f"class {label}" for label in range(10)}
    all_of_them, some = sheet_of(names, 10), sheet_of(names, 37)
    assert some.shape[0] == all_of_them.shape[0] + 28
    np.testing.assert_array_equal(some[: len(all_of_them)], all_of_them)
    assert (some[len(all_of_them) :] < 100).any()


def test_long_names_are_shortened_so_that_they_still_differ():
    long = "a very long class name that differs only in its last letter "
    sheet = sheet_of({0: long * 5 + "x", 1: long * 5 + "y"}, 2)
    assert sheet.shape[1] < 16 + 180 + 9 * 104 + 20
    first, second = (sheet[28 + n * 100 : 128 + n * 100, :190] for n in (0, 1))
    assert (first != second).any()


def test_names_are_drawn_in_their_own_letters_or_as_numbers_but_never_as_boxes():
    def name_of(sheet):
        return sheet[28:124, : sheet.shape[1] - 9 * 100 - 8]

    # Cyrillic, Arabic; then a letter that no font has.
    names = ("кошка", "собака", "قطة", "بيت")
    drawn = {name: name_of(sheet_of({3: name}, 1)).tobytes() for name in names}
    assert len(set(drawn.values())) == len(names)
    nobodys = name_of(sheet_of({3: "\U000e0fff"}, 1))
    np.testing.assert_array_equal(nobodys, name_of(sheet_of({3: "class 3"}, 1)))


def test_pictures_keep_their_pixels_whatever_their_size():
    sheet = sheet_of({0: "a"}, 1, size=128)
    assert sheet[28:156, -8 - 9 * 132 : -8 - 9 * 132 + 128].shape == (128, 128, 3)
    np.testing.assert_array_equal(
        sheet[28:156, -8 - 9 * 132 : -8 - 9 * 132 + 128][::4, ::4], colours(1)[0]
    )


SPEC = ImageSpec(16, 16, 3, margin_height=4)


def one_of_each(raws, classes):
    return one_per_class(raws, classes, configure("digits", {}), SPEC)


def test_a_broken_file_is_passed_over_and_reading_ends_with_the_last_class():
    good = encode(tile(0, 3, 3), "PNG")
    raws = iter(
        [
            RawImage("broken", good[:80], 1, None),
            RawImage("missing", None, 0, None, problem="symbolic_link"),
            RawImage("outside", good, -1, None),
            RawImage("b", good, 1, None),
            RawImage("b again", good, 1, None),
            RawImage("a", good, 0, "test"),
            RawImage("not read", good, 0, None),
        ]
    )
    found = one_of_each(raws, 2)
    assert list(found) == [0, 1]
    assert found[0].shape == SPEC.packed_shape
    assert next(raws).name == "not read"


def test_of_many_classes_the_first_ten_are_kept_whatever_the_order():
    data = encode(tile(0, 3, 3), "PNG")
    labels = [30, 29, *range(15, 3, -1), 3, 2, 1, 0, 16]
    raws = iter([RawImage(str(label), data, label, None) for label in labels])
    assert list(one_of_each(raws, 31)) == list(range(10))
    assert [raw.label for raw in raws] == [16]


def test_no_image_at_all_is_refused():
    with pytest.raises(DataRefused, match="None of the first files of digits is an image"):
        one_of_each([RawImage("x", b"text", 0, None)], 2)


def test_of_listed_files_only_a_few_of_each_class_are_opened(tmp_path):
    source = open_source(
        DataConfig(source=f"folder:{write_class_folders(tmp_path / 'photos', 20)}")
    )
    names = [raw.name for raw in raw_images(source, configure("digits", {}))]
    assert sorted({name.split("/")[0] for name in names}) == ["flower", "negative", "temple"]
    assert len(names) == 15


def test_the_command_writes_the_sheet_and_prints_its_path(tmp_path):
    folder = write_class_folders(tmp_path / "photos", 6)
    root = tmp_path / "out"
    done = darkroom("preview", f"folder:{folder}", f"root={root}", timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{root / 'preview.png'}\n"
    assert done.stderr == ""
    assert pixels(root / "preview.png").shape[0] == 28 + 3 * (24 * 4 + 4)
    assert [p.name for p in root.iterdir()] == ["preview.png"]


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["digit"], 2, "did you mean 'digits'"),
        (["digits", "augment.torch=[{}]"], 2, "Bad value for augment.torch"),
        (["digits", "--output", "/proc/no/preview.png"], 2, "cannot be written"),
        (["digits", "--output", "."], 2, "it is a folder"),
        (["folder:EMPTY"], 4, "No images in"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_codes_of_run(tmp_path, arguments, code, words):
    (tmp_path / "empty").mkdir()
    arguments = [a.replace("EMPTY", str(tmp_path / "empty")) for a in arguments]
    done = darkroom("preview", *arguments, f"root={tmp_path / 'out'}")
    assert done.returncode == code, done.stderr
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_it_needs_no_tfx():
    program = (
        "import sys\n"
        "import pipeline.commands.preview\n"
        "assert not {'tfx', 'apache_beam', 'tensorflow', 'torch'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
