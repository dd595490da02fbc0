"""The configuration of a run, from a preset's or a source's name and `key=value`."""

import difflib
from pathlib import Path

from components.base.refusal import ConfigError
from components.networks.backbones import architecture_with
from components.sources.config import DataConfig
from components.sources.open_source import LISTED
from pipeline.configuration import inferred
from pipeline.configuration.config import RunConfig
from pipeline.configuration.fitting import check_network
from pipeline.configuration.overrides import override
from pipeline.configuration.presets import PRESETS

_SOURCES = "folder:PATH, tar:PATH, zip:PATH or tfds:NAME"


def configure(name: str, overrides: dict[str, str]) -> RunConfig:
    """The configuration that `name` (a preset or a source such as folder:PATH) and the overrides
    make.

    Raises ConfigError for an unknown name, key or value, a network that does not fit the images, or
    a loss that does not fit the network, as far as that can be told before the classes are known
    (see fitting.py); DataRefused for a folder or archive without usable images.
    """
    overrides = _with_architecture(overrides)
    config = override(_load(name, overrides), overrides)
    fields = DataConfig.model_fields
    for key in {"data.label", "data.dir"} & overrides.keys():
        name = key.removeprefix("data.")
        given = getattr(config.data, name) != fields[name].default  # a run's config.args names all
        if given and not config.data.source.startswith("tfds:"):
            raise ConfigError(
                f"{key} is for tfds: sources, not for {config.data.source!r}: leave it out "
                "(the classes of a folder or an archive are its subfolders)."
            )
    check_network(config)
    return config


def _with_architecture(overrides: dict[str, str]) -> dict[str, str]:
    """`model.backbone=NAME`, of a pretrained network, as the `model.architecture` that it is."""
    if "model.backbone" not in overrides:
        return overrides
    if "model.architecture" in overrides:
        raise ConfigError(
            "model.backbone and model.architecture both name a network: leave one of them out."
        )
    others = {key: value for key, value in overrides.items() if key != "model.backbone"}
    return others | {"model.architecture": architecture_with(overrides["model.backbone"])}


def _load(name: str, overrides: dict[str, str]) -> RunConfig:
    """Before overrides; those that say where data lies are needed to look at it, and the network
    that is asked for to say how."""
    if name in PRESETS:
        return PRESETS[name]()
    kind, _, rest = name.partition(":")
    architecture = overrides.get("model.architecture")
    if kind in LISTED and rest:
        return inferred.from_files(kind, rest, architecture)
    if kind == "tfds" and rest:
        return inferred.from_tfds(
            rest, overrides.get("data.dir"), overrides.get("data.label", "label"), architecture
        )
    if kind in (*LISTED, "tfds"):
        raise ConfigError(f"{name!r} is incomplete: expected {_SOURCES}.")
    raise ConfigError(
        f"Unknown preset {name!r}: did you mean {_meant(name)!r}? Expected one of "
        f"{', '.join(PRESETS)}, {_SOURCES}."
    )


def _meant(name: str) -> str:
    """The preset or the source that somebody had in mind who wrote `name`."""
    kind, colon, rest = name.partition(":")
    kinds = difflib.get_close_matches(kind.lower(), (*LISTED, "tfds"), n=1) if colon else []
    if kinds and rest:
        return f"{kinds[0]}:{rest}"
    if archive := inferred.archive_kind(name):
        return f"{archive}:{name}"
    if "/" in name or Path(name).expanduser().is_dir():
        return f"folder:{name}"
    return difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)[0]
