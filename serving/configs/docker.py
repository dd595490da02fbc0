"""The three servers on this machine, with Docker Compose."""

from serving.configs import plan, tensorflow_serving
from serving.configs.plan import Plan
from serving.configs.yaml_text import Value, documents

_ROOT = "${DARKROOM_ROOT:?set it to the output root, an absolute path}"


def files(chosen: Plan) -> dict[str, str]:
    """By path within the folder."""
    services: dict[str, Value] = {"darkroom": ours(chosen)}
    if chosen.tensorflow:
        services["tf-serving"] = tensorflow(chosen)
    services["triton"] = triton(chosen)
    return {
        "docker-compose.yml": documents(
            "Each on this machine only. DARKROOM_ROOT is the output root.", {"services": services}
        )
    }


def ours(chosen: Plan) -> dict[str, Value]:
    """Our own server; it follows the store."""
    return {
        "image": chosen.image,
        "command": chosen.arguments("/releases"),
        "user": f"{plan.USER}:{plan.USER}",
        **_common([plan.HTTP_PORT, plan.GRPC_PORT]),
        "cap_drop": ["ALL"],
        "read_only": True,
        "tmpfs": ["/tmp"],
        "volumes": [_mount(f"{_ROOT}/serving", "/releases/serving")],
        "healthcheck": _check(*python_check("python", plan.HTTP_PORT, plan.READY)),
        "stop_grace_period": f"{plan.STOP_SECONDS}s",
    }


def tensorflow(chosen: Plan) -> dict[str, Value]:
    """TensorFlow Serving, pinned to the versions of ../tensorflow-serving."""
    return {
        "image": plan.TENSORFLOW_IMAGE,
        "command": [
            "--port=8500",
            "--rest_api_port=8501",
            *tensorflow_serving.arguments("/configuration"),
        ],
        **_common([8500, 8501]),
        "volumes": [
            _mount("../tensorflow-serving", "/configuration"),
            _mount(f"{_ROOT}/serving/models/{chosen.name}", f"/models/{chosen.name}"),
        ],
        "healthcheck": _check(*bash_check(8501, f"/v1/models/{chosen.name}")),
    }


def triton(chosen: Plan) -> dict[str, Value]:
    """Triton, pinned to the versions of ../triton."""
    target = f"/models/{chosen.name}"
    return {
        "image": plan.TRITON_IMAGE,
        "command": [
            "tritonserver",
            "--model-repository=/models",
            "--http-port=8000",
            "--grpc-port=8001",
            "--metrics-port=8002",
        ],
        **_common([8000, 8001, 8002]),
        "volumes": [
            _mount(f"{_ROOT}/serving/models/{chosen.name}", target),
            # Over the store's own, which follows it: mounts within others come after them.
            _mount(f"../triton/{chosen.name}/config.pbtxt", f"{target}/config.pbtxt"),
        ],
        "healthcheck": _check(*python_check("python3", 8000, f"/v2/models/{chosen.name}/ready")),
    }


def python_check(python: str, port: int, path: str) -> list[str]:
    """Exit code 0 when a GET is answered 200, in an image that has Python and no curl."""
    url = f"http://127.0.0.1:{port}{path}"
    return [python, "-c", f"import urllib.request as r; r.urlopen({url!r}, timeout=2)"]


def bash_check(port: int, path: str) -> list[str]:
    """Exit code 0 when TensorFlow Serving says that a version is there, in an image that has
    neither Python nor curl."""
    ask = f"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n"
    return [
        "bash",
        "-c",
        f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf '{ask}' >&3"
        " && timeout 2 cat <&3 | grep -q AVAILABLE",
    ]


def _common(ports: list[int]) -> dict[str, Value]:
    return {
        "ports": [f"127.0.0.1:{port}:{port}" for port in ports],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
    }


def _check(*command: str) -> dict[str, Value]:
    return {
        "test": ["CMD", *command],
        "interval": "10s",
        "timeout": "5s",
        "retries": 3,
        "start_period": "60s",
    }


def _mount(source: str, target: str) -> dict[str, Value]:
    """A missing source is an error, not an empty directory owned by root."""
    return {
        "type": "bind",
        "source": source,
        "target": target,
        "read_only": True,
        "bind": {"create_host_path": False},
    }
