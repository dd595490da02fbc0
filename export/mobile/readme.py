"""What the bundle says of itself."""

from pathlib import Path

from export.mobile.facts import Facts, ModelFile
from serving.contract.image_spec import ImageSpec

SAMPLE_TEXT = "README.md"
"""In a sample's folder: its section of the bundle's README.md."""

_WHEN = {
    "tflite": "to begin with, and whenever its size does not matter",
    "tflite_float16": "half the size, for GPUs too; computes like float32 on CPUs",
    "tflite_dynamic_int8": "a quarter of the size on CPUs; computes with float32 between layers",
    "tflite_int8": "a quarter of the size, for accelerators that compute with integers only",
    "tflite_rgb": "for libraries that hand over RGB, such as MediaPipe Tasks; grey is made inside",
    "onnx": "for ONNX Runtime",
}
_NARROW = ": what is in a wide one becomes narrow, as the model never saw it in training"
_STRETCHED = {
    "crop": f"{_NARROW}. Cut out the central part yourself before you hand it over.",
    "stretch": ", as this model's training did by the one above.",
    "pad": f"{_NARROW}. Put it on black yourself before you hand it over.",
}
"""What it means that a library stretches pictures, by the spec's fit."""
_RGB = "to begin with; also for libraries that hand over RGB, such as MediaPipe Tasks"


_FILTER = "with an antialiased bilinear filter: a triangle whose support grows with the scale"
_FITTING = {
    "crop": (
        "Cut out the largest central part of width : height = {width} : {height}.",
        f"Resize it to {{width}} x {{height}} {_FILTER}.",
    ),
    "stretch": (f"Resize it to {{width}} x {{height}}, whatever its aspect ratio, {_FILTER}.",),
    "pad": (
        f"Resize it to fit into {{width}} x {{height}}, the other side rounded down, {_FILTER}.",
        "Put it into the middle of a black picture of {width} x {height}.",
    ),
}
"""The steps from a picture of any shape to the packed size, by the spec's fit."""


def mark(name: str) -> str:
    """The first line of a bundle's README.md, by which it is known again."""
    return f"<!-- A bundle of {name!r} by `python -m export.mobile`. Renewing it removes edits. -->"


def readme(facts: Facts, samples: list[Path]) -> str:
    """README.md; `samples` are the samples' folders."""
    height, width, channels = facts.spec.shape
    count, classes = facts.probabilities.shape
    inputs, outputs = (facts.contract[which]["name"] for which in ("input", "output"))
    colours = "grey" if channels == 1 else "RGB"
    version = "" if facts.version is None else f", version {facts.version}"
    return f"""{mark(facts.name)}
# {facts.name}{version}

An image classifier of {classes:,} classes, with what phones and other languages need of it. In goes
`{inputs}`: uint8, 1 x {height} x {width} x {channels}, {colours}, 0 to 255.
Out come `{outputs}`: float32, 1 x {classes}, in the order of `labels.txt`.
Its lineage id is `{facts.contract.get("lineage")}`.

## Which file

{_models(facts)}

Accuracy is that of the file itself on the test split, as the release recorded it. The last column
is how far a probability may be from the golden one in a self-test; it is in `contract.json` too,
with the size and SHA-256 of each file.

## From a picture to the input

{_steps(facts.spec)}

The samples do this. On-device libraries, MediaPipe Tasks among them, stretch the whole picture to
the input's size instead{_STRETCHED[facts.spec.fit]}
Their filter is another one, too: without antialiasing probabilities change, the more the larger the
picture is. A picture of {width} x {height} they leave as it is: hand over what the steps above
gave, and they answer as the samples do.

## Samples

Commands are for this folder. Each self-test classifies the golden images, preprocesses the golden
photo and says `ok` (exit code 0) or `FAILED` (1), with the largest differences. Run it first, on
the device itself: it shows whether runtime and preprocessing do there what they did in training.

{_samples(samples)}

## Golden files

| file | what it is |
|---|---|
| `golden/images.bin` | uint8, {count} x {height} x {width} x {channels}: held-out images |
| `golden/probabilities.bin` | float32, little endian, {count} x {classes}: their answers |
| `golden/photo.png` | a picture of another size and aspect ratio |
| `golden/photo_raw.bin` | its values, for where no PNG is decoded; `contract.json` has the shape |
| `golden/photo.bin` | uint8, {height} x {width} x {channels}: what preprocessing makes of it |
"""


def _samples(folders: list[Path]) -> str:
    parts = []
    for folder in folders:
        parts.append(f"### {folder.name}/")
        if (folder / SAMPLE_TEXT).is_file():
            parts.append((folder / SAMPLE_TEXT).read_text(encoding="utf-8").strip())
    return "\n\n".join(parts)


def _models(facts: Facts) -> str:
    lines = [
        "| file | bytes | precision | accuracy | take it | self-test allows |",
        "|---|---|---|---|---|---|",
    ]
    for model in facts.models:
        name = model.row.name
        when = _RGB if name == "tflite" and facts.spec.channels == 3 else _WHEN[name]
        lines.append(
            f"| `{model.row.file}` | {model.bytes:,} | {model.row.precision} |"
            f" {_accuracy(facts.manifest, model)} | {when} | {model.tolerance:g} |"
        )
    return "\n".join(lines)


def _accuracy(manifest: dict, model: ModelFile) -> str:
    """Measured when the file was verified, on the most images."""
    records = [
        record
        for record in manifest.get("parity", [])
        if record.get("artifact") == model.row.name and record.get("accuracy") is not None
    ]
    if not records:
        return "not recorded"
    return f"{max(records, key=lambda record: record['images'])['accuracy']:.4f}"


def _steps(spec: ImageSpec) -> str:
    height, width, channels = spec.packed_shape
    steps = [
        "Turn the picture upright, as its EXIF orientation says.",
        "Make it grey: 0.299 R + 0.587 G + 0.114 B, rounded."
        if channels == 1
        else "Make it RGB, without alpha.",
        *(step.format(width=width, height=height) for step in _FITTING[spec.fit]),
        "Pass the values on as they are, 0 to 255: normalisation is inside the model.",
    ]
    if (height, width) != (spec.height, spec.width):
        steps.insert(-1, f"Cut out the central {spec.width} x {spec.height}.")
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
