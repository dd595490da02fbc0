"""Nothing new, nothing done: whether the last verdict answers this command too, and its repetition.

Nothing that is slow to import is imported here: a night without new images ends in a second.
"""

import hashlib
import json

from components.base.fingerprint import PACKAGES, ROOT, custom_hashes
from pipeline.configuration.config import BESIDE, RunConfig
from pipeline.outcome.verdict import EXIT_OK, Verdict
from serving.store.release import Release, StoreError

_REPEATED = (
    *("version", "champion", "models", "artifacts", "gates", "data"),
    *("contract", "comparisons"),
)


def fingerprint(config: RunConfig, source: str, schema: str) -> str:
    """SHA-256 of the images' and the schema's content, the configuration (but for where it writes,
    how closely it looks and what a search does) and the code."""
    code: dict[str, str | dict[str, str]] = {
        path.relative_to(ROOT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }
    lock = ROOT / "requirements.txt"
    code["requirements.txt"] = hashlib.sha256(lock.read_bytes()).hexdigest()
    code["own network"] = custom_hashes(config.model.architecture)
    settings = config.model_dump(mode="json", exclude={"root", "beam", *BESIDE})
    settings["data"].pop("verify")
    everything = json.dumps([source, schema, settings, code], sort_keys=True)
    return hashlib.sha256(everything.encode()).hexdigest()


def still_holds(previous: Verdict, fingerprint: str, current: Release | None) -> bool:
    """Whether the last verdict answers this command too: the same source, configuration, code and
    current release, an end that was no accident, and the release still whole."""
    if previous.fingerprint != fingerprint or previous.status == "failed":
        return False
    if previous.current != (current.version if current else None):
        return False
    try:
        if current is not None:
            current.verify()
    except StoreError:
        return False
    return True


def repeat(previous: Verdict, verdict: Verdict, current: Release | None) -> None:
    """Fills `verdict` from the one that still holds."""
    for field in _REPEATED:
        setattr(verdict, field, getattr(previous, field))
    # Not of the time that was not taken.
    verdict.warnings = [g["warning"] for g in verdict.gates if g.get("warning")]
    verdict.exit_code, verdict.repeats = previous.exit_code, previous.run_id
    verdict.steps = [
        step | {"seconds": 0.0, "peak_memory": 0, "cached": True, "why": "nothing changed"}
        for step in previous.steps
    ]
    if previous.exit_code == EXIT_OK:
        assert current is not None, "a run that ends well leaves a release"
        verdict.status, verdict.release = "unchanged", str(current.path)
        verdict.sentence = (
            f"Nothing changed since run {previous.run_id}: images, configuration and code are the "
            f"same, and release {previous.version} stands."
        )
    else:
        verdict.status, verdict.sentence = previous.status, previous.sentence
