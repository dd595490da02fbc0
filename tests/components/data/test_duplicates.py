from components.data.duplicates import conflicts, copies, leaks
from tests.helpers.catalogues import catalogue
from tests.helpers.images import encode, tile

TRAIN, VAL, TEST = range(3)


def test_train_gives_way_to_val_and_val_to_test_whatever_the_encoding():
    png, bmp = encode(tile(0, 1, 1), "PNG"), encode(tile(0, 1, 1), "BMP")
    other, third = encode(tile(0, 2, 2), "PNG"), encode(tile(1, 3, 3), "PNG")
    found = leaks(
        catalogue(
            (png, TRAIN, 0), (bmp, TEST, 0), (other, VAL, 0), (other, TRAIN, 0), (other, TRAIN, 1),
            (png, VAL, 0), (third, TRAIN, 0), (third, TRAIN, 0),
        )
    )  # fmt: skip
    assert found.tolist() == [True, False, False, True, True, True, False, False]


def test_a_grey_picture_is_the_same_in_one_channel_and_in_three():
    grey = tile(0, 4, 4).convert("L")
    rows = [
        (encode(image, "PNG"), split, 0) for split, image in enumerate([grey, grey.convert("RGB")])
    ]
    assert leaks(catalogue(*rows)).tolist() == [True, False]


def test_pictures_under_two_labels_are_found():
    png, other = encode(tile(0, 1, 1), "PNG"), encode(tile(0, 2, 2), "PNG")
    found = conflicts(
        catalogue((png, TRAIN, 0), (other, TRAIN, 0), (other, TEST, 0), (png, TRAIN, 1))
    )
    assert found.tolist() == [0, 3]


def test_copies_inside_a_split_are_found_behind_the_first():
    png, bmp = encode(tile(0, 1, 1), "PNG"), encode(tile(0, 1, 1), "BMP")
    other = encode(tile(0, 2, 2), "PNG")
    rows = catalogue((png, TRAIN, 0), (other, TRAIN, 0), (bmp, TRAIN, 1), (png, TEST, 0),
                     (other, VAL, 0), (png, TRAIN, 0), (other, VAL, 0))  # fmt: skip
    assert copies(rows) == [(2, 0), (5, 0), (6, 4)]
