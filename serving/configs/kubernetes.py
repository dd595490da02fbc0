"""Our own server on Kubernetes: replicas that follow the store on a shared volume."""

from serving.configs import plan
from serving.configs.plan import Plan
from serving.configs.yaml_text import Value, documents

_RELEASES = "/releases"


def files(chosen: Plan) -> dict[str, str]:
    """By path within the folder."""
    return {
        "deployment.yaml": documents(
            "Replicas that follow the release store by themselves: a publish, a rollback or a\n"
            "label needs no rollout. How many there are is the autoscaler's affair.",
            deployment(chosen),
        ),
        "service.yaml": documents(
            "HTTP and gRPC within the cluster; TLS and tokens are the ingress's affair.",
            service(chosen),
        ),
        "autoscaler.yaml": documents("More replicas when their cores are busy.", scaler(chosen)),
        "disruption-budget.yaml": documents(
            "A node that is drained takes one replica at a time.", budget(chosen)
        ),
    }


def deployment(chosen: Plan) -> dict[str, Value]:
    """apps/v1 Deployment."""
    container: dict[str, Value] = {
        "name": "server",
        "image": chosen.image,
        "args": chosen.arguments(_RELEASES),
        "ports": [
            {"name": "http", "containerPort": plan.HTTP_PORT},
            {"name": "grpc", "containerPort": plan.GRPC_PORT},
        ],
        # It is alive before it has loaded its models, and ready after.
        "startupProbe": probe(plan.LIVE, 1, 60),
        "livenessProbe": probe(plan.LIVE, 10, 3),
        "readinessProbe": probe(plan.READY, 2, 2),
        "resources": resources(chosen),
        "securityContext": locked_down(),
        "volumeMounts": [
            {"name": "releases", "mountPath": _RELEASES, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(plan.HTTP_PORT),
        "prometheus.io/path": plan.METRICS,
    }
    pod: dict[str, Value] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": plan.STOP_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _selector(chosen)},
            }
        ],
        "containers": [container],
        "volumes": [
            {
                "name": "releases",
                "persistentVolumeClaim": {"claimName": chosen.claim, "readOnly": True},
            },
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(chosen),
        "spec": {
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "selector": {"matchLabels": _selector(chosen)},
            "template": {
                "metadata": {"labels": _selector(chosen), "annotations": annotations},
                "spec": pod,
            },
        },
    }


def service(chosen: Plan) -> dict[str, Value]:
    """v1 Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(chosen),
        "spec": {
            "selector": _selector(chosen),
            "ports": [
                {"name": "http", "port": plan.HTTP_PORT, "targetPort": "http"},
                {
                    "name": "grpc",
                    "port": plan.GRPC_PORT,
                    "targetPort": "grpc",
                    "appProtocol": "kubernetes.io/h2c",
                },
            ],
        },
    }


def scaler(chosen: Plan) -> dict[str, Value]:
    """autoscaling/v2 HorizontalPodAutoscaler."""
    least, most = plan.REPLICAS
    target: Value = {"type": "Utilization", "averageUtilization": 70}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(chosen),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": _object(chosen),
            },
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def budget(chosen: Plan) -> dict[str, Value]:
    """policy/v1 PodDisruptionBudget."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(chosen),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _selector(chosen)}},
    }


def probe(path: str, period: int, failures: int) -> dict[str, Value]:
    """A GET of our server's health."""
    return {
        "httpGet": {"path": path, "port": plan.HTTP_PORT},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def locked_down() -> dict[str, Value]:
    """The securityContext of a container that needs nothing but to read and to answer."""
    return {
        "runAsNonRoot": True,
        "runAsUser": plan.USER,
        "runAsGroup": plan.USER,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def resources(chosen: Plan) -> dict[str, Value]:
    """No more than was asked for: what a replica does does not depend on its neighbours."""
    amounts = {"cpu": str(plan.CPUS), "memory": f"{chosen.memory // 2**20}Mi"}
    return {"requests": amounts, "limits": amounts}


def _object(chosen: Plan) -> str:
    return f"darkroom-{chosen.object_name}"


def _selector(chosen: Plan) -> dict[str, Value]:
    return {
        "app.kubernetes.io/name": "darkroom",
        "app.kubernetes.io/instance": chosen.object_name,
    }


def _metadata(chosen: Plan) -> dict[str, Value]:
    return {"name": _object(chosen), "labels": _selector(chosen)}
