"""All files of a plan, and the folder that they lie in."""

from pathlib import Path

from serving.configs import docker, kserve, kubernetes, tensorflow_serving
from serving.configs.plan import Plan
from serving.configs.readme import mark, readme
from serving.store.files import make_directory, replace_text
from serving.store.release import StoreError

README = "README.md"
_TENSORFLOW = (
    *(f"tensorflow-serving/{name}.config" for name in ("models", "batching", "monitoring")),
    "kserve/tensorflow-serving.yaml",
)
"""Only of a release with a SavedModel."""


def contents(chosen: Plan) -> dict[str, str]:
    """The text of every file, by path within the folder."""
    groups = {
        "triton": {f"{chosen.name}/config.pbtxt": chosen.triton},
        "kserve": kserve.files(chosen),
        "kubernetes": kubernetes.files(chosen),
        "docker": docker.files(chosen),
    }
    if chosen.tensorflow:
        texts = tensorflow_serving.texts(chosen.name, chosen.tensorflow, "/models")
        groups["tensorflow-serving"] = texts
    found = {
        f"{group}/{name}": text for group, made in groups.items() for name, text in made.items()
    }
    return {README: readme(chosen), **found}


def write(chosen: Plan, out: Path) -> list[str]:
    """Writes them into `out`, an empty folder, a new one or one written for this model before;
    returns their paths in it. Raises StoreError when it is none of these, OSError."""
    if out.is_dir() and any(out.iterdir()):
        try:
            first = (out / README).read_text(encoding="utf-8").splitlines()[:1]
        except (OSError, UnicodeDecodeError):
            first = []
        if first != [mark(chosen.name)]:
            raise StoreError(
                f"{out} is not empty and holds no configuration of {chosen.name}: name a new"
                " folder."
            )
    found = contents(chosen)
    for name, text in found.items():  # the README first: what is cut off here may be begun again
        make_directory((out / name).parent)
        replace_text(out / name, text, out)
    for name in set(_TENSORFLOW) - found.keys():
        (out / name).unlink(missing_ok=True)
    return list(found)
