"""`--html FILE`: the mistakes as a page of its own, with their pictures."""

import html
from collections.abc import Iterator, Sequence

from serving.contract.image_spec import ImageSpec
from serving.predict.judgement import Judgement
from serving.predict.mistakes import EXACT, Mistake, shown

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem }}
ul {{ display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr));
  list-style: none; padding: 0 }}
img {{ height: 10rem; max-width: 100%; object-fit: contain; object-position: left;
  image-rendering: {rendering} }}
p {{ margin: .2rem 0; overflow-wrap: anywhere }}
small {{ display: block; opacity: .75; overflow-wrap: anywhere }}
</style>
<h1>{title}</h1>
"""


def page(
    title: str, judgement: Judgement, mistakes: Sequence[Mistake], spec: ImageSpec
) -> Iterator[str]:
    """The page in parts; tiny images are shown as the pixels that they are."""
    rendering = "pixelated" if max(spec.height, spec.width) <= EXACT else "auto"
    yield _HEAD.format(title=_text(title), rendering=rendering)
    if judgement.images:
        low, high = judgement.interval
        yield (
            f"<p>Accuracy {judgement.right / judgement.images:.2%} of {judgement.images:,} images "
            f"(95% interval {low:.2%} to {high:.2%}).</p>\n"
        )
    if not mistakes:
        yield "<p>No mistake.</p>\n"
        return
    yield "<h2>Surest mistakes</h2>\n<ul>\n"
    for mistake in mistakes:
        yield from _mistake(mistake)
    yield "</ul>\n"


def _mistake(mistake: Mistake) -> Iterator[str]:
    row = mistake.prediction
    yield "<li>"
    if mistake.picture:
        yield f'<img src="{mistake.picture}" alt="{_text(row.path)}">'
    yield f"<p><b>{_text(row.given)}</b>, taken for <b>{_text(row.label)}</b> "
    yield f"({row.probability:.1%})</p><small>{_text(row.path)}</small>"
    if mistake.alike:
        yield "<p>Most alike in training</p>"
        yield from (f"<small>{_text(of.label)}: {_text(of.name)}</small>" for of in mistake.alike)
    yield "</li>\n"


def _text(words: str) -> str:
    return html.escape(shown(words))
