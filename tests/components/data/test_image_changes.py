"""What became of images between two indices, told by their pixels."""

from components.data.image_changes import changes, phrase
from components.data.image_index import Row


def _index(*rows: tuple[str, str, int]) -> dict[str, list[Row]]:
    """Of (split, class, picture)."""
    index: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
    for number, (split, label, picture) in enumerate(rows):
        index[split].append(Row(split, label, f"{picture:032x}"[::-1], f"{label}/{number}"))
    return index


def _ways(pairs) -> list[tuple[str, str]]:
    return [(pair.before.label, pair.after.label) for pair in pairs]


def test_every_image_is_the_same_relabelled_moved_added_or_removed():
    before = _index(
        ("train", "cat", 1), ("train", "cat", 2), ("train", "dog", 3), ("test", "dog", 4)
    )
    after = _index(
        ("train", "cat", 1), ("train", "dog", 2), ("train", "dog", 4), ("test", "cat", 5)
    )
    found = changes(before, after)
    assert [pair.after.label for pair in found.both] == ["cat", "dog", "dog"]
    assert _ways(found.relabelled) == [("cat", "dog")]
    assert [(p.before.split, p.after.split) for p in found.moved] == [("test", "train")]
    assert [row.label for row in found.added] == ["cat"]
    assert [row.label for row in found.removed] == ["dog"]


def test_the_shorter_digests_of_a_release_name_the_same_images():
    before = {"train": [Row("train", "cat", "00" * 8)], "val": [], "test": []}
    after = {"train": [Row("train", "dog", "00" * 16, "a.png")], "val": [], "test": []}
    assert _ways(changes(before, after).relabelled) == [("cat", "dog")]


def test_copies_are_counted_one_by_one_and_keep_their_class_where_one_of_them_can():
    white = [("train", "cat", 7)] * 3 + [("train", "dog", 7)]
    found = changes(_index(*white), _index(*reversed(white)))
    assert len(found.both) == 4 and not (found.relabelled or found.added or found.removed)
    found = changes(_index(*white), _index(*[("train", "dog", 7)] * 6))
    assert _ways(found.relabelled) == [("cat", "dog")] * 3
    assert len(found.added) == 2 and not found.removed


def test_sixty_thousand_copies_of_one_picture_are_matched_in_linear_time():
    before = _index(*[("train", "cat", 7)] * 60_000)
    after = _index(*[("train", "dog", 7)] * 60_000)
    assert len(changes(before, after).relabelled) == 60_000


def _named(*rows: tuple[str, str, int]) -> dict[str, list[Row]]:
    """Of (class, name, picture)."""
    found = [Row("train", label, f"{n:032x}"[::-1], f"{label}/{name}") for label, name, n in rows]
    return {"train": found, "val": [], "test": []}


def test_changes_are_told_by_class_in_one_phrase():
    before = _named(("3", "a", 1), ("7", "a", 2), ("7", "b", 3), ("7", "c", 4), ("7", "d", 5))
    after = _named(("3", "a", 1), ("3", "x", 8), ("3", "y", 9), ("7", "c", 7), ("7", "e", 5))
    assert phrase(changes(before, after)) == (
        "2 files added to class 3, 2 removed from class 7, 1 changed, 1 renamed"
    )
    assert phrase(changes(before, before)) == ""


def test_one_file_and_many_classes_are_told_in_words_that_fit():
    before = _named(("cat", "a", 1))
    assert phrase(changes(before, _named(("dog", "a", 1)))) == "1 file moved to class dog"
    many = _named(("cat", "a", 1), *((f"c{n}", "b", n) for n in range(2, 7)))
    assert phrase(changes(before, many)) == "5 files added to 5 classes"
