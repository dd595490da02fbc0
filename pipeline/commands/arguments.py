"""Arguments that several commands take."""

from typing import Annotated

import typer

Preset = Annotated[str, typer.Argument(help="a preset, or folder:, tar:, zip:PATH, tfds:NAME")]
Overrides = Annotated[list[str] | None, typer.Argument(help="key=value ..., @FILE")]
