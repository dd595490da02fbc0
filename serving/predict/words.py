"""What a person reads of a folder's predictions."""

from collections.abc import Iterable, Iterator, Sequence

from serving.predict.folder import Summary
from serving.predict.judgement import Judgement
from serving.predict.listing import readable
from serving.predict.mistakes import Mistake, alike_words

_CLASSES, _CONFUSIONS, _MISTAKES = 30, 10, 10
"""So many are shown; the JSON has all."""


def summary_lines(summary: Summary, min_probability: float) -> Iterator[str]:
    """Images by label, those that are unsure, those that have no label, and what was copied."""
    yield f"Images      {summary.images:,}"
    yield from _cut(_counted(summary.labels.most_common()), _CLASSES)
    if min_probability:
        yield f"Unsure      {summary.unsure:,} below {min_probability:g}"
    if count := summary.unnamed.total():
        yield f"Unreadable  {count:,}"
        yield from (f"  {readable(row.path)}: {row.problem}" for row in summary.examples)
        if count > len(summary.examples):
            yield f"  ... and {count - len(summary.examples):,} more, in the table"
    if summary.copied:
        yield f"Copied      {summary.copied.total():,}"
        copied = sorted(summary.copied.items())
        yield from _cut(_counted((f"{folder}/", n) for folder, n in copied), _CLASSES)


def judgement_lines(judgement: Judgement, mistakes: Sequence[Mistake]) -> Iterator[str]:
    """Accuracy, classes, confusions, worst mistakes, and folders that are none of the model's."""
    if judgement.images:
        low, high = judgement.interval
        yield (
            f"Accuracy    {judgement.right / judgement.images:.4f} of {judgement.images:,} images "
            f"(95% interval {low:.4f} to {high:.4f})"
        )
        yield from _cut(_class_lines(judgement), _CLASSES + 1)
    if confusions := judgement.confusions():
        yield "Confused"
        rows = ((f"{given} taken for {taken}", n) for given, taken, n in confusions)
        yield from _cut(_counted(rows), _CONFUSIONS)
    if mistakes:
        yield "Surest mistakes"
    for mistake in mistakes[:_MISTAKES]:
        row = mistake.prediction
        yield f"  {readable(row.path)}: {row.label} {row.probability:.1%}, not {row.given}"
        if mistake.alike:
            yield f"    {alike_words(mistake.alike)}"
    for folder, images, like in judgement.unknown_folders():
        hint = f"; did you mean {like}?" if like else ""
        yield f"Not judged  {readable(folder)}/ is no class of the model ({_images(images)}){hint}"
    if judgement.outside:
        yield f"Not judged  {_images(judgement.outside)} beside the folders"


def _class_lines(judgement: Judgement) -> Iterator[str]:
    """Those of which there are images, or that were named; the lowest recall first."""
    rows = [row for row in judgement.classes() if row["images"] or row["precision"] is not None]
    width = max(len(row["label"]) for row in rows)
    yield f"  {'class':{max(width, 5)}}  images  recall  precision"
    for row in sorted(rows, key=lambda row: (row["recall"] is None, row["recall"])):
        recall, precision = (
            "-" if row[k] is None else f"{row[k]:.4f}" for k in ("recall", "precision")
        )
        yield f"  {row['label']:{max(width, 5)}}  {row['images']:>6,}  {recall:>6}  {precision:>9}"


def _counted(rows: Iterable[tuple[str, int]]) -> Iterator[str]:
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return (f"  {name:{width}}  {count:>6,}" for name, count in pairs)


def _images(count: int) -> str:
    return f"{count:,} image" if count == 1 else f"{count:,} images"


def _cut(lines: Iterable[str], most: int) -> Iterator[str]:
    rows = list(lines)
    yield from rows[:most]
    if len(rows) > most:
        yield f"  ... and {len(rows) - most:,} more"
