"""The index of images: whole whatever the names, and in the order of the packed arrays."""

import dataclasses
import gzip

import pytest

from components.data import image_index
from components.data.image_index import Row

ODD = ("=1+1", "'quoted", 'a,b\r\n"c"', "\n", "caf\udce9.png", "Größe/日本.png", "-", "")


def _rows(count: int, split: str = "train") -> list[Row]:
    return [Row(split, f"class {n % 7}", f"{n * 7919:032x}", f"{n}.png") for n in range(count)]


def test_rows_come_back_in_order_by_split(tmp_path):
    train, test = _rows(50), _rows(30, "test")
    mixed = [row for pair in zip(test, train) for row in pair] + train[30:]
    image_index.write(tmp_path / "images.csv", mixed)
    assert image_index.read(tmp_path / "images.csv") == {"train": train, "val": [], "test": test}
    first = (tmp_path / "images.csv").read_text().splitlines()[0]
    assert first == "split,class,sha256,name"


def test_names_and_classes_come_back_whatever_they_hold_and_no_spreadsheet_runs_them(tmp_path):
    rows = [Row("val", odd, "ab" * 16, odd) for odd in ODD]
    image_index.write(tmp_path / "images.csv", rows)
    assert image_index.read(tmp_path / "images.csv")["val"] == rows
    assert b",=" not in (tmp_path / "images.csv").read_bytes()


def test_a_releases_index_is_small_and_the_same_for_the_same_images(tmp_path):
    rows = [dataclasses.replace(row, name="x" * 100) for row in _rows(2000)]
    other = [dataclasses.replace(row, name="renamed") for row in reversed(rows)]
    for name, given in (("a.gz", rows), ("b.gz", other)):
        image_index.write_released(tmp_path / name, {"train": given, "test": _rows(9, "test")})
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()).startswith(b"split,class,sha256\r\n")
    found = image_index.read(tmp_path / "a.gz")
    assert len(found["train"]) == 2000 and len(found["test"]) == 9
    assert {(row.label, row.sha256, row.name) for row in found["train"]} == {
        (row.label, row.sha256[:16], "") for row in rows
    }


def test_another_or_a_damaged_file_is_an_error_that_names_it(tmp_path):
    head = "split,class,sha256,name\r\n"
    for text in ("", "finding,name\r\n", f"{head}nowhere,a,00,b\r\n", f"{head}train,a\r\n"):
        (tmp_path / "images.csv").write_text(text)
        with pytest.raises(ValueError, match="images.csv is no index of images"):
            image_index.read(tmp_path / "images.csv")
    image_index.write_released(tmp_path / "images.csv.gz", {"train": _rows(900)})
    whole = (tmp_path / "images.csv.gz").read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:100] + b"xxxx" + whole[104:], b"no gzip"):
        (tmp_path / "images.csv.gz").write_bytes(damaged)
        with pytest.raises(ValueError, match="images.csv.gz is no index of images"):
            image_index.read(tmp_path / "images.csv.gz")
    with pytest.raises(FileNotFoundError):
        image_index.read(tmp_path / "none.csv")
