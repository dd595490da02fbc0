"""What the folder says of itself."""

from serving.configs import plan
from serving.configs.plan import Plan


def mark(name: str) -> str:
    """The first line of a folder's README.md, by which it is known again."""
    return f"<!-- Written by `python -m serving.configs {name} OUT`. Edits are overwritten. -->"


def readme(chosen: Plan) -> str:
    """README.md."""
    image, output = chosen.contract["input"], chosen.contract["output"]
    labels = ", ".join(f"`{label}` {version}" for label, version in sorted(chosen.labels.items()))
    return f"""{mark(chosen.name)}
# {chosen.name}, version {chosen.version}

{_tensor(image)} in, {_tensor(output)} out: {len(chosen.contract["labels"])} classes.
Labels: {labels or "none"}. {_left_out(chosen)}

Clusters read releases from the PersistentVolumeClaim `{chosen.claim}`, which you fill: it holds the
output root's folder `serving/`, readable by every user.

## docker/

The servers on this machine, with health checks. Our own needs its image once:

```
docker build -t {chosen.image} serving
DARKROOM_ROOT=$PWD/out docker compose -f OUT/docker/docker-compose.yml up darkroom
```

## kubernetes/

Our own server: {plan.REPLICAS[0]} to {plan.REPLICAS[1]} replicas of {plan.CPUS} cores that follow
the store, without root and on a read-only file system. The memory is an estimate from the model's
size: measure, and set it. Needs the metrics server (for the autoscaler), and an ingress that has
TLS and asks for tokens.

```
kubectl apply --dry-run=server -f OUT/kubernetes && kubectl apply -f OUT/kubernetes
```

## kserve/

InferenceServices for KServe {_choice(chosen)}; apply one:

```
kubectl apply -f OUT/kserve/darkroom-runtime.yaml -f OUT/kserve/darkroom.yaml
```
{_tensorflow(chosen)}
## triton/

A model repository without its versions: `config.pbtxt` belongs beside the versions' folders, as in
the store, which keeps one that follows it. Triton has no labels of versions: clients name numbers.
"""


def _tensor(tensor: dict) -> str:
    sizes = " x ".join("N" if size is None else str(size) for size in tensor["shape"])
    return f"`{tensor['name']}` ({tensor['dtype']}, {sizes})"


def _left_out(chosen: Plan) -> str:
    above = sorted(k for k, version in chosen.labels.items() if version > chosen.version)
    if not above:
        return "A request that names no version gets the current one."
    names = ", ".join(f"`{label}`" for label in above)
    return (
        f"TensorFlow Serving and Triton go without {names}: above the current version, it would be"
        " what they answer with when no version is named."
    )


def _choice(chosen: Plan) -> str:
    return (
        "with each of the three servers" if chosen.tensorflow else "with Triton and our own server"
    )


def _tensorflow(chosen: Plan) -> str:
    if not chosen.tensorflow:
        return "\nTensorFlow Serving is missing: the release has no SavedModel.\n"
    return """
## tensorflow-serving/

`models.config` pins versions and labels, `batching.config` joins requests, `monitoring.config` adds
`/metrics` for Prometheus. Written for a server that sees the store's `models` as `/models`; its
options are in `docker/docker-compose.yml`.
"""
