"""KServe: the release behind TensorFlow Serving, Triton and our own server.

The claim is mounted at /mnt/models, or the part of it that `storageUri` names.
"""

from serving.configs import plan, tensorflow_serving
from serving.configs.kubernetes import locked_down, probe, resources
from serving.configs.plan import Plan
from serving.configs.yaml_text import Value, documents
from serving.store import config_files

RUNTIME = "darkroom"
_MOUNT = "/mnt/models"
_CONFIGURATION = "/etc/tensorflow-serving"


def files(chosen: Plan) -> dict[str, str]:
    """By path within the folder."""
    made = {
        "darkroom-runtime.yaml": documents(
            "Our own server as a runtime: once for a namespace, whatever models there are.",
            runtime(chosen),
        ),
        "darkroom.yaml": documents(
            "Our own server; it follows the store. Apply darkroom-runtime.yaml first.", ours(chosen)
        ),
        "triton.yaml": documents(
            "Triton, at the versions that the store's config.pbtxt names when it starts.",
            triton(chosen),
        ),
    }
    if chosen.tensorflow:
        made["tensorflow-serving.yaml"] = documents(
            "TensorFlow Serving, pinned to the versions in the ConfigMap.",
            configuration(chosen, chosen.tensorflow),
            tensorflow(chosen),
        )
    return made


def runtime(chosen: Plan) -> dict[str, Value]:
    """serving.kserve.io/v1alpha1 ServingRuntime; the model is named by each InferenceService."""
    container: dict[str, Value] = {
        "name": "kserve-container",
        "image": chosen.image,
        "args": [f"--root={_MOUNT}", *plan.general_arguments()],
        "ports": [{"containerPort": plan.HTTP_PORT, "protocol": "TCP"}],
        "livenessProbe": probe(plan.LIVE, 10, 3),
        "readinessProbe": probe(plan.READY, 2, 2),
        "securityContext": {**locked_down(), "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": RUNTIME},
        "spec": {
            "annotations": {
                "prometheus.kserve.io/port": str(plan.HTTP_PORT),
                "prometheus.kserve.io/path": plan.METRICS,
            },
            "supportedModelFormats": [{"name": RUNTIME, "version": "1", "autoSelect": True}],
            "protocolVersions": ["v2"],
            "containers": [container],
        },
    }


def ours(chosen: Plan) -> dict[str, Value]:
    """An InferenceService of that runtime; its arguments are appended to the runtime's."""
    return _service(
        chosen,
        RUNTIME,
        {
            "modelFormat": {"name": RUNTIME, "version": "1"},
            "runtime": RUNTIME,
            "protocolVersion": "v2",
            "storageUri": f"pvc://{chosen.claim}",
            "args": [f"--model={chosen.name}"],
            "resources": resources(chosen),
        },
        terminationGracePeriodSeconds=plan.STOP_SECONDS,
    )


def triton(chosen: Plan) -> dict[str, Value]:
    """An InferenceService of KServe's own runtime for Triton."""
    return _service(
        chosen,
        "triton",
        {
            "modelFormat": {"name": "onnx", "version": "1"},
            "runtime": "kserve-tritonserver",
            "protocolVersion": "v2",
            "storageUri": f"pvc://{chosen.claim}/serving/models",
            "args": ["--model-control-mode=explicit", f"--load-model={chosen.name}"],
        },
    )


def configuration(chosen: Plan, pinned: config_files.Pinned) -> dict[str, Value]:
    """The ConfigMap of `tensorflow`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _name(chosen, "tensorflow")},
        "data": dict(tensorflow_serving.texts(chosen.name, pinned, _MOUNT)),
    }


def tensorflow(chosen: Plan) -> dict[str, Value]:
    """An InferenceService of KServe's own runtime for TensorFlow Serving, which would take the
    highest version: models.config makes it ignore the base path that the runtime names."""
    return _service(
        chosen,
        "tensorflow",
        {
            "modelFormat": {"name": "tensorflow", "version": "2"},
            "runtime": "kserve-tensorflow-serving",
            "protocolVersion": "v1",
            "storageUri": f"pvc://{chosen.claim}/serving/models",
            "args": tensorflow_serving.arguments(_CONFIGURATION),
            "volumeMounts": [
                {"name": "configuration", "mountPath": _CONFIGURATION, "readOnly": True}
            ],
        },
        volumes=[
            {"name": "configuration", "configMap": {"name": _name(chosen, "tensorflow")}},
        ],
    )


def _service(chosen: Plan, server: str, model: dict[str, Value], **more: Value) -> dict[str, Value]:
    least, most = plan.REPLICAS
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": _name(chosen, server)},
        "spec": {"predictor": {"minReplicas": least, "maxReplicas": most, **more, "model": model}},
    }


def _name(chosen: Plan, server: str) -> str:
    return f"{chosen.object_name}-{server}"
