"""What is to be served: read from the store once, and the same for every file that is generated."""

import dataclasses
import hashlib
import re

import serving
from serving.configs import signatures
from serving.contract.release_files import FORMATS, formats_of
from serving.server.limits import Limits
from serving.store.config_files import MAX_BATCH, Pinned
from serving.store.derived_files import triton
from serving.store.release import Release, StoreError
from serving.store.store import Store

IMAGE = f"darkroom-serving:{serving.__version__}"
"""What `docker build` of serving/Dockerfile is called."""
TENSORFLOW_IMAGE = "tensorflow/serving:2.19.1"
TRITON_IMAGE = "nvcr.io/nvidia/tritonserver:25.12-py3"
USER = 10001
"""Of serving/Dockerfile: no user of the node that it runs on."""
HTTP_PORT, GRPC_PORT = 8080, 8081
LIVE, READY, METRICS = "/v2/health/live", "/v2/health/ready", "/metrics"
CPUS = 2
"""Of a replica; as many inferences run at once."""
REPLICAS = 2, 10
STOP_SECONDS = round(Limits.drain_seconds) + 10
"""Requests under way are finished within the first of them."""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")
_CLAIM = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_MIB = 2**20
_PROCESS_BYTES = 512 * _MIB
"""Python, the runtime and its threads, without a model."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Of one model. `tensorflow` is None where the current release has no SavedModel."""

    name: str
    version: int
    labels: dict[str, int]
    tensorflow: Pinned | None
    triton: str
    """config.pbtxt."""
    contract: dict
    """Of the current version."""
    memory: int
    """Bytes that a replica of our own server may take."""
    image: str
    claim: str
    """The PersistentVolumeClaim in which `serving/` of the output root lies."""

    @property
    def object_name(self) -> str:
        """The model's name as Kubernetes takes names, at most 30 characters; two models never share
        one."""
        if _NAME.fullmatch(self.name):
            return self.name
        letters = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:8]
        return f"m-{letters[:18].strip('-')}-{digest}".replace("--", "-")

    def arguments(self, root: str, grpc: bool = True) -> list[str]:
        """Of `python -m serving`, behind something that has TLS and tokens."""
        return [
            f"--root={root}",
            f"--model={self.name}",
            *general_arguments(),
            *([f"--grpc-port={GRPC_PORT}"] if grpc else []),
        ]


def general_arguments() -> list[str]:
    """Those that do not depend on the model. Threads are named, because a container sees all cores
    of its node, whatever it may use of them."""
    return ["--host=0.0.0.0", f"--port={HTTP_PORT}", "--insecure", f"--threads={CPUS}"]


def plan(store: Store, name: str, image: str, claim: str) -> Plan:
    """What the store says of the model. Raises StoreError: also when a file of the current or a
    labelled release is not what its manifest and its contract say."""
    if not _CLAIM.fullmatch(claim):
        raise StoreError(f"--claim {claim!r} is no name of a PersistentVolumeClaim.")
    if not image or not image.isascii() or not image.isprintable() or " " in image:
        raise StoreError(f"--image {image!r} is no name of an image.")
    current, labels = store.select(name), store.labels(name)
    with_saved_model = {}
    for release in {current.version: current, **{r.version: r for r in labels.values()}}.values():
        with_saved_model[release.version] = _verified(release)
    labelled = {k: r.version for k, r in labels.items() if with_saved_model[r.version]}
    try:
        config, memory = triton(current, labels), _memory(current, len(with_saved_model))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{current.path} cannot be served: {error!r}.") from error
    return Plan(
        name=name,
        version=current.version,
        labels={label: release.version for label, release in labels.items()},
        tensorflow=Pinned.of(current.version, labelled)
        if with_saved_model[current.version]
        else None,
        triton=config,
        contract=current.contract(),
        memory=memory,
        image=image,
        claim=claim,
    )


def _verified(release: Release) -> bool:
    """Whether it has a SavedModel. Raises StoreError when a file is not what it should be."""
    release.verify()
    try:
        found = [row.name for row in formats_of(release.manifest())]
    except TypeError as error:
        raise StoreError(f"the manifest of {release.path} lists no formats: {error}.") from error
    if "onnx" not in found:
        raise StoreError(f"{release.path} has no ONNX model: Triton and our server need one.")
    wanted = [name for name in ("onnx", "saved_model") if name in found]
    signatures.check(release, release.contract(), wanted)
    return "saved_model" in wanted


def _memory(release: Release, versions: int) -> int:
    """An estimate, upwards to 256 MiB: what each version may take, with one more while it replaces
    another, and what clients may send at once."""
    model = release.manifest()["files"][FORMATS["onnx"].file]["bytes"]
    image = 1
    for size in release.contract()["input"]["shape"][1:]:
        image *= size
    batch = MAX_BATCH * image * 5  # a byte, and as float32
    total = _PROCESS_BYTES + Limits.bodies_bytes + (versions + 1) * 3 * model + CPUS * batch
    return -(-total // (256 * _MIB)) * 256 * _MIB
