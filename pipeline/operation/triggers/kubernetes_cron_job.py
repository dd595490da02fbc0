"""A scheduled run as a CronJob of Kubernetes: pipeline/Dockerfile's image on its volumes.

In the style of serving/configs, whose servers follow the releases on the same claim.
"""

import hashlib
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from components.base.refusal import Locked
from components.sources.open_source import LISTED
from pipeline.configuration.overrides import parse_overrides
from pipeline.operation.triggers.cron_expression import time_zone
from pipeline.operation.triggers.scheduled_run import ScheduledRun
from serving import __version__

IMAGE = f"darkroom:{__version__}"
"""What `docker build` of pipeline/Dockerfile is called."""
CLAIM, IMAGES_CLAIM = "darkroom-releases", "darkroom-images"
"""PersistentVolumeClaims of the output root and of the images."""
USER = 10001
"""Of pipeline/Dockerfile."""
CPUS, MEMORY = 4, "8Gi"
_OUT, _IMAGES, _FILES = "/out", "/images", "/etc/darkroom"
_FILE_KEYS = ("release.signing_key", "data.schema")
_DAY = 86_400
_CONTAINER = "run"


class _Plain(yaml.SafeDumper):
    """Writes what stands in two places twice, as people do."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text(run: ScheduledRun) -> str:
    """The YAML of it, or a comment that says why there is none."""
    schedule = run.cron.kubernetes()
    if schedule is None:
        return (
            f"# No CronJob: {run.cron.text!r} asks for days that are both of the month and of the\n"
            "# week, which Kubernetes has no schedule for.\n"
        )
    notes = [
        f"kubectl apply -f FILE. The image is built from pipeline/Dockerfile; {CLAIM} is the claim",
        f"of the output root, writable by user {USER}.",
    ]
    arguments, files = _arguments(run)
    if _reads_images(run):
        notes.append(f"{IMAGES_CLAIM} is the claim with the images: {_image_note(run)}.")
    if files:
        options = " ".join(f"--from-file={shlex.quote(f'{k}={v}')}" for k, v in files.items())
        notes.append(f"kubectl create secret generic {_object(run)} {options}")
    if ":" in run.config.model.architecture:
        notes.append(f"The image must also hold the network {run.config.model.architecture}.")
    head = "".join(f"# {line}\n" for line in notes)
    document = cron_job(run, schedule, arguments, bool(files))
    return head + yaml.dump(document, Dumper=_Plain, sort_keys=False, width=10_000)


def cron_job(
    run: ScheduledRun, schedule: str, arguments: list[str], with_files: bool
) -> dict[str, Any]:
    """batch/v1 CronJob."""
    zone, _ = time_zone()
    labels = {
        "app.kubernetes.io/name": "darkroom",
        "app.kubernetes.io/instance": _label(run.name),
        "app.kubernetes.io/component": "run",
    }
    amounts = {"cpu": str(CPUS), "memory": MEMORY}
    volumes = [
        {"name": "out", "persistentVolumeClaim": {"claimName": CLAIM}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "home", "emptyDir": {}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "out", "mountPath": _OUT},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "home", "mountPath": "/home/darkroom"},
    ]
    if _reads_images(run):
        claim = {"claimName": IMAGES_CLAIM, "readOnly": True}
        volumes.append({"name": "images", "persistentVolumeClaim": claim})
        mounts.append({"name": "images", "mountPath": _IMAGES, "readOnly": True})
    if with_files:
        secret = {"secretName": _object(run), "defaultMode": 0o440}
        volumes.append({"name": "files", "secret": secret})
        mounts.append({"name": "files", "mountPath": _FILES, "readOnly": True})
    container = {
        "name": _CONTAINER,
        "image": IMAGE,
        "args": arguments,
        "env": [{"name": "OMP_NUM_THREADS", "value": str(CPUS)}],
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": _object(run), "labels": labels},
        "spec": {
            "schedule": schedule,
            **({"timeZone": zone} if zone else {}),
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "metadata": {"labels": labels},
                "spec": {
                    # A refusal is one, however often it is tried.
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": _DAY,
                    # Begun again: after a node was drained, where it goes on from its last step,
                    # and while somebody else's run is in the output root.
                    "podFailurePolicy": {"rules": _begun_again()},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            },
        },
    }


def _begun_again() -> list[dict[str, Any]]:
    held = {"containerName": _CONTAINER, "operator": "In", "values": [Locked.exit_code]}
    return [
        {
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        },
        {"action": "Ignore", "onExitCodes": held},
    ]


def _arguments(run: ScheduledRun) -> tuple[list[str], dict[str, str]]:
    """Of `python -m pipeline` in the container, and this machine's files that they name, by the
    name that each has there."""
    files: dict[str, str] = {}
    config = run.config

    def carried(path: str) -> str:
        name = re.sub(r"[^A-Za-z0-9._-]", "-", Path(path).name)
        while files.get(name, path) != path:
            name = f"other-{name}"
        files[name] = path
        return f"{_FILES}/{name}"

    last = {"root": _OUT, "name": run.name}
    kind, _, _ = config.data.source.partition(":")
    if kind in LISTED and run.preset.partition(":")[0] not in LISTED:
        last["data.source"] = _in_container(config.data.source)
    if kind == "tfds":
        last["data.dir"] = _IMAGES
    if not config.train.threads:
        # A container sees all cores of its node, whatever it may use of them.
        last["train.threads"] = str(CPUS)
    paths = config.release.signing_key, config.data.schema_path
    for key, path in zip(_FILE_KEYS, paths):
        if path is not None:
            last[key] = carried(str((run.directory / Path(path).expanduser()).absolute()))
    words = []
    for word in run.words:
        if word.startswith("@"):
            words.append(f"@{carried(word[1:])}")
        elif not parse_overrides([word]).keys() & last.keys():
            words.append(word)
    ends = [f"{key}={value}" for key, value in last.items()]
    return ["run", _in_container(run.preset), *words, *ends], files


def _reads_images(run: ScheduledRun) -> bool:
    return run.config.data.source.partition(":")[0] in (*LISTED, "tfds")


def _in_container(source: str) -> str:
    """A folder of images is the whole of the volume, an archive lies at its top."""
    kind, _, path = source.partition(":")
    if kind == "folder":
        return f"{kind}:{_IMAGES}"
    return f"{kind}:{_IMAGES}/{Path(path).name}" if kind in LISTED else source


def _image_note(run: ScheduledRun) -> str:
    kind, _, path = run.config.data.source.partition(":")
    if kind == "tfds":
        return "a TFDS data directory"
    return f"what lies in {path}" if kind == "folder" else f"{Path(path).name} lies at its top"


def _label(name: str) -> str:
    """The release's name as Kubernetes takes names, at most 30 characters; two never share one."""
    if re.fullmatch(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?", name):
        return name
    letters = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"m-{letters[:18].strip('-')}-{digest}".replace("--", "-")


def _object(run: ScheduledRun) -> str:
    return f"darkroom-run-{_label(run.name)}"
