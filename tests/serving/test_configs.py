"""Generated configuration, read back with the servers' and clusters' own formats, and compared with
the model that it is for."""

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

import onnx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from serving.__main__ import _parser as server_parser
from serving.configs import docker, folder, plan, signatures
from serving.configs.__main__ import main
from serving.configs.yaml_text import documents
from serving.server.options import Options
from serving.store import config_files
from serving.store.release import StoreError
from serving.store.store import Store
from tests.helpers.server_protos import BATCHING, MONITORING, TRITON, message
from tests.helpers.serving_fixtures import REPOSITORY, digits_release, seal, server

CLAIM = "darkroom-releases"
TRITON_TYPES = {2: "uint8", 11: "float32"}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory) -> bytes:
    """The graph of a real SavedModel with the digits' signature."""
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 1], tf.uint8, "image")])
        def serve(self, image):
            flat = tf.reshape(tf.cast(image, tf.float32), [-1, 64])
            return {"probabilities": tf.nn.softmax(flat[:, :10])}

    path, module = tmp_path_factory.mktemp("saved"), Module()
    tf.saved_model.save(module, str(path), {"serving_default": module.serve})
    return (path / "saved_model.pb").read_bytes()


@pytest.fixture(scope="module")
def source(tmp_path_factory, saved_model) -> Path:
    """A release with both of the artifacts that other servers open."""
    directory = digits_release(tmp_path_factory.mktemp("made") / "digits")
    (directory / "saved_model.pb").write_bytes(saved_model)
    return seal(directory, formats=["saved_model", "tflite", "onnx"])


@pytest.fixture(scope="module")
def root(tmp_path_factory, source) -> Path:
    """An output root with three versions: 1 `stable`, 2 current, 3 rolled back from and `bad`."""
    root = tmp_path_factory.mktemp("root")
    store = Store(root / "serving")
    for _ in range(3):
        store.publish("digits", source)
    store.rollback("digits")
    store.label("digits", "stable", 1)
    store.label("digits", "bad", 3)
    return root


@pytest.fixture(scope="module")
def chosen(root) -> plan.Plan:
    return plan.plan(Store(root / "serving"), "digits", plan.IMAGE, CLAIM)


@pytest.fixture(scope="module")
def texts(chosen) -> dict[str, str]:
    return folder.contents(chosen)


def parsed(texts: dict[str, str], group: str) -> dict[str, list[dict]]:
    """Documents by file."""
    names = [name for name in texts if name.startswith(group) and name.endswith(("yaml", "yml"))]
    return {name.partition("/")[2]: list(yaml.safe_load_all(texts[name])) for name in names}


def models_config(text: str):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    return model


# The artifacts.


def test_the_signatures_are_those_that_the_models_themselves_declare(source):
    image = signatures.Tensor("image", "uint8", (None, 8, 8, 1))
    probabilities = signatures.Tensor("probabilities", "float32", (None, 10))
    expected = signatures.Signature((image,), (probabilities,))
    assert signatures.onnx(source / "model.onnx") == expected
    assert signatures.saved_model(source / "saved_model.pb") == expected


def renamed(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    model.graph.input[0].name = "picture"
    return model.SerializeToString()


def wider(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 9
    return model.SerializeToString()


@pytest.mark.parametrize(
    "file, change, reason",
    [
        ("model.onnx", renamed, "takes and gives .*picture.* its contract says .*image"),
        ("model.onnx", wider, r"8, 9, 1.* its contract says"),
        ("model.onnx", lambda data: data[:-9], "cannot be read"),
        ("model.onnx", lambda data: b"", "takes and gives"),
        ("saved_model.pb", lambda data: data.replace(b"serving_default", b"serving_defaulu"), "()"),
        ("saved_model.pb", lambda data: b"\xff" * 20, "cannot be read"),
    ],
)
def test_a_model_that_is_not_what_the_contract_says_is_refused(
    tmp_path, source, file, change, reason
):
    directory = digits_release(tmp_path / "made")
    for name in ("model.onnx", "saved_model.pb"):
        (directory / name).write_bytes((source / name).read_bytes())
    (directory / file).write_bytes(change((directory / file).read_bytes()))
    store = Store(tmp_path / "serving")
    store.publish("digits", seal(directory, formats=["saved_model", "onnx"]))
    with pytest.raises(StoreError, match=reason):
        plan.plan(store, "digits", plan.IMAGE, CLAIM)


# TensorFlow Serving and Triton.


def test_tensorflow_serving_is_pinned_to_the_current_and_the_labelled_version(texts):
    model = models_config(texts["tensorflow-serving/models.config"])
    assert (model.name, model.base_path) == ("digits", "/models/digits")
    assert list(model.model_version_policy.specific.versions) == [1, 2]
    assert dict(model.version_labels) == {"stable": 1}
    assert set(model.version_labels.values()) <= set(model.model_version_policy.specific.versions)


def test_tensorflow_serving_batches_and_has_metrics(texts):
    batching = message(texts["tensorflow-serving/batching.config"], **BATCHING)
    assert batching.max_batch_size.value == config_files.MAX_BATCH
    monitoring = message(texts["tensorflow-serving/monitoring.config"], **MONITORING)
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == plan.METRICS


def test_tritons_names_types_and_shapes_are_the_models(texts, source):
    config = message(texts["triton/digits/config.pbtxt"], **TRITON)
    found = signatures.onnx(source / config.default_model_filename)
    for mine, theirs in ((config.input, found.inputs), (config.output, found.outputs)):
        assert [(t.name, TRITON_TYPES[t.data_type], (None, *t.dims)) for t in mine] == [
            (t.name, t.dtype, t.shape) for t in theirs
        ]
    (entry,) = config.model_warmup[0].inputs
    (image,) = found.inputs
    assert (entry.key, (None, *entry.value.dims)) == (image.name, image.shape)


def test_triton_serves_the_versions_and_has_the_labels_of_the_release(texts, root):
    config = message(texts["triton/digits/config.pbtxt"], **TRITON)
    assert config.name == "digits"
    assert list(config.version_policy.specific.versions) == [1, 2]
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    labels = root / "serving/models/digits" / config.output[0].label_filename
    assert len(labels.read_text().splitlines()) == config.output[0].dims[0]


def test_triton_reads_the_same_of_the_store_as_of_the_folder(texts, root):
    stored = (root / "serving/models/digits/config.pbtxt").read_text()
    assert stored == texts["triton/digits/config.pbtxt"]


# Kubernetes.


def test_kubernetes_own_schemas_know_every_field(texts):
    validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed"
    )
    found = parsed(texts, "kubernetes")
    kinds = [validate_strictly(validate, document) for (document,) in found.values()]
    assert sorted(kinds) == [
        "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Service"
    ]  # fmt: skip
    config, _ = parsed(texts, "kserve")["tensorflow-serving.yaml"]
    assert validate_strictly(validate, config) == "ConfigMap"


def validate_strictly(validate, document: dict) -> str:
    for version in ("1.29", validate.latest_version()):
        validate.validate(document, version, strict=True)
    return document["kind"]


def test_a_replica_needs_no_rights_and_writes_nothing(texts):
    (deployment,) = parsed(texts, "kubernetes")["deployment.yaml"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    context = container["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] == plan.USER > 0
    assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["releases"]["readOnly"]
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}


def test_the_objects_of_kubernetes_are_about_each_other(texts):
    found = {name: document for name, (document,) in parsed(texts, "kubernetes").items()}
    deployment = found["deployment.yaml"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert found["service.yaml"]["spec"]["selector"] == labels
    assert found["disruption-budget.yaml"]["spec"]["selector"]["matchLabels"] == labels
    target = found["autoscaler.yaml"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]  # or each `apply` would undo the autoscaler
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in found["service.yaml"]["spec"]["ports"]} == ports


def options(arguments: list[str]) -> Options:
    return Options.of(server_parser().parse_args(arguments))


def test_the_server_takes_its_arguments_and_drains_before_it_is_killed(texts):
    (deployment,) = parsed(texts, "kubernetes")["deployment.yaml"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    taken = options(container["args"])
    assert [selection.name for selection in taken.selections] == ["digits"]
    assert str(taken.root) == container["volumeMounts"][0]["mountPath"]
    assert [port["containerPort"] for port in container["ports"]] == [taken.port, taken.grpc_port]
    assert str(taken.threads) == container["resources"]["limits"]["cpu"]
    assert pod["terminationGracePeriodSeconds"] > taken.limits.drain_seconds


def test_memory_follows_from_the_model(chosen, root):
    release = Store(root / "serving").select("digits")
    small = plan._memory(release, 1)
    assert small >= plan._PROCESS_BYTES and small % (256 * 2**20) == 0
    assert plan._memory(release, 10**6) > small
    assert chosen.memory >= small


@pytest.mark.parametrize(
    "name", ["Digits", "digits_2", "3d", "digits.v2", "a" * 100, "0", "x-", "A.", "_"]
)
def test_every_models_name_becomes_one_that_kubernetes_takes(chosen, name):
    made = plan.dataclasses.replace(chosen, name=name).object_name
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?", made)
    other = plan.dataclasses.replace(chosen, name=name + "_").object_name
    assert made != other


# KServe.


def test_kserves_services_name_the_model_and_where_it_lies(texts):
    found = parsed(texts, "kserve")
    (ours,), (triton,) = found["darkroom.yaml"], found["triton.yaml"]
    config, tensorflow = found["tensorflow-serving.yaml"]
    models = [s["spec"]["predictor"]["model"] for s in (ours, triton, tensorflow)]
    assert [m["storageUri"] for m in models] == [
        f"pvc://{CLAIM}", f"pvc://{CLAIM}/serving/models", f"pvc://{CLAIM}/serving/models"
    ]  # fmt: skip
    assert "--load-model=digits" in models[1]["args"]
    volume = tensorflow["spec"]["predictor"]["volumes"][0]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    files = {a.partition("=")[2] for a in models[2]["args"] if "config" in a and "/etc" in a}
    mount = models[2]["volumeMounts"][0]["mountPath"]
    assert {f"{mount}/{name}" for name in config["data"]} >= {f for f in files if "/" in f}
    assert len(files) == 3
    model = models_config(config["data"]["models.config"])
    assert model.base_path == "/mnt/models/digits"
    assert list(model.model_version_policy.specific.versions) == [1, 2]


def test_our_runtime_with_the_services_arguments_is_what_the_server_takes(texts):
    found = parsed(texts, "kserve")
    (runtime,), (service,) = found["darkroom-runtime.yaml"], found["darkroom.yaml"]
    (container,) = runtime["spec"]["containers"]
    model = service["spec"]["predictor"]["model"]
    taken = options(container["args"] + model["args"])
    assert container["name"] == "kserve-container"  # the one that KServe looks for
    assert container["ports"][0]["containerPort"] == taken.port
    assert taken.selections[0].name == "digits"
    formats = {(f["name"], f["version"]) for f in runtime["spec"]["supportedModelFormats"]}
    assert tuple(model["modelFormat"].values()) in formats
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_kserves_published_schemas_know_every_field(texts):
    crds = os.environ.get("KSERVE_CRDS")
    if not crds:
        pytest.skip("KSERVE_CRDS does not name config/crd/full of KServe's repository")
    import jsonschema_rs

    for kind in ("InferenceService", "ServingRuntime"):
        path = Path(crds) / f"serving.kserve.io_{kind.lower()}s.yaml"
        versions = yaml.safe_load(path.read_text())["spec"]["versions"]
        schemas = {row["name"]: closed(row["schema"]["openAPIV3Schema"]) for row in versions}
        all_documents = [d for found in parsed(texts, "kserve").values() for d in found]
        of_kind = [document for document in all_documents if document["kind"] == kind]
        assert of_kind
        for document in of_kind:
            schema = schemas[document["apiVersion"].partition("/")[2]]
            jsonschema_rs.validator_for(schema).validate(document)


def closed(schema: object, top: bool = True) -> object:
    """The schema with unknown fields refused: a cluster drops them without a word."""
    if isinstance(schema, list):
        return [closed(item, False) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value, False) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        if top:
            made["properties"]["metadata"] = {"type": "object"}
        made.setdefault("additionalProperties", False)
    return made


# Docker.


def test_compose_serves_on_this_machine_only_and_mounts_what_is_generated(texts, tmp_path):
    (compose,) = parsed(texts, "docker")["docker-compose.yml"]
    services = compose["services"]
    assert services.keys() == {"darkroom", "tf-serving", "triton"}
    for service in services.values():
        assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in service["ports"])
        assert service["healthcheck"]["test"][0] == "CMD"
        for mount in service["volumes"]:
            assert mount["read_only"]
            source = mount["source"]
            if source.startswith("../"):
                assert any(name.startswith(source[3:]) for name in texts)
            else:
                assert source.startswith("${DARKROOM_ROOT:?")
    ours = services["darkroom"]
    assert ours["read_only"] and ours["user"] == f"{plan.USER}:{plan.USER}"
    assert options(ours["command"]).grpc_port == plan.GRPC_PORT


def test_compose_itself_reads_it(texts, tmp_path):
    file = tmp_path / "docker-compose.yml"
    file.write_text(texts["docker/docker-compose.yml"])
    command = ["docker", "compose"]
    with contextlib.suppress(OSError):
        if subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            environment = {**os.environ, "DARKROOM_ROOT": "/data/out"}
            checked = subprocess.run(
                [*command, "-f", file, "config", "--quiet"], capture_output=True, env=environment
            )
            assert checked.returncode == 0, checked.stderr
            return
    pytest.skip("Docker Compose is not installed")


def test_the_images_are_those_of_the_compose_file_that_follows_the_store():
    services = yaml.safe_load((REPOSITORY / "serving/docker-compose.yml").read_text())["services"]
    assert services["tf-serving"]["image"] == f"${{TF_SERVING_IMAGE:-{plan.TENSORFLOW_IMAGE}}}"
    assert services["triton"]["image"] == f"${{TRITON_IMAGE:-{plan.TRITON_IMAGE}}}"


def test_health_checks_tell_a_server_that_serves_from_one_that_does_not(root):
    """Ours speaks all three protocols that they ask in."""
    with server(root) as (url, process, _):
        port = int(url.rpartition(":")[2])

        def healthy(command: list[str]) -> bool:
            return subprocess.run(command, capture_output=True, timeout=20).returncode == 0

        assert healthy(docker.python_check("python3", port, plan.READY))
        assert healthy(docker.python_check("python3", port, "/v2/models/digits/ready"))
        assert healthy(docker.bash_check(port, "/v1/models/digits"))
        assert not healthy(docker.python_check("python3", port, "/v2/models/faces/ready"))
        assert not healthy(docker.bash_check(port, "/v1/models/faces"))
    assert not healthy(docker.python_check("python3", port, plan.READY))
    assert not healthy(docker.bash_check(port, "/v1/models/digits"))


def test_the_dockerfile_builds_without_a_compiler_and_runs_without_root():
    lines = (REPOSITORY / "serving/Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith(("#", " "))]
    assert [rest for step, rest in steps if step == "FROM"][-1] == "python:3.11-slim"
    assert [rest for step, rest in steps if step == "USER"] == [f"{plan.USER}:{plan.USER}"]
    assert "ORT_DISABLE_TELEMETRY=1" in [rest for step, rest in steps if step == "ENV"]
    installs = [rest for step, rest in steps if step == "RUN"]
    assert not any("apt" in rest for rest in installs)
    assert "--only-binary=:all: -r /requirements.txt" in installs[0]
    (entry,) = [json.loads(rest) for step, rest in steps if step == "ENTRYPOINT"]
    assert entry == ["python", "-m", "serving"]
    (check,) = [rest for step, rest in steps if step == "HEALTHCHECK"]
    command = json.loads(check[check.index("[") :])
    assert command == docker.python_check("python", plan.HTTP_PORT, plan.READY)


# The folder.


def test_the_command_writes_the_folder_and_renews_it(root, tmp_path, texts, capsys):
    out = tmp_path / "deep/configs"
    arguments = ["digits", str(out), "--root", str(root)]
    for _ in range(2):
        assert main(arguments) == 0
        written = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
        assert written == texts.keys()
    assert all((out / name).read_text() == text for name, text in texts.items())
    assert "version 2" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"# Mine\n", b"\xff", b""])
def test_a_folder_with_anything_else_is_left_as_it_is(root, tmp_path, capsys, content):
    (tmp_path / "README.md").write_bytes(content)
    assert main(["digits", str(tmp_path), "--root", str(root)]) == 2
    assert "is not empty and holds no configuration of digits" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_a_file_in_the_folders_place_is_refused(root, tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert main(["digits", str(tmp_path / "out"), "--root", str(root)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_without_saved_model_nothing_is_written_for_tensorflow_serving(
    root, tmp_path, source, capsys
):
    """Also when a release before had one: the folder holds what is true now."""
    own, out = tmp_path / "root", tmp_path / "configs"
    store = Store(own / "serving")
    store.publish("digits", source)
    assert main(["digits", str(out), "--root", str(own)]) == 0
    store.publish("digits", seal(digits_release(tmp_path / "made"), formats=["onnx"]))
    assert main(["digits", str(out), "--root", str(own)]) == 0
    assert "nothing for TensorFlow Serving" in capsys.readouterr().out
    assert not [p for p in out.rglob("*") if p.is_file() and "tensorflow" in p.as_posix()[-60:]]
    compose = yaml.safe_load((out / "docker/docker-compose.yml").read_text())
    assert "tf-serving" not in compose["services"]


def test_a_release_without_onnx_is_refused(tmp_path, source, capsys):
    store = Store(tmp_path / "serving")
    directory = digits_release(tmp_path / "made")
    store.publish("digits", seal(directory, formats=["saved_model"]))
    assert main(["digits", str(tmp_path / "configs"), "--root", str(tmp_path)]) == 2
    assert "has no ONNX model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["digit"], "unknown model 'digit': did you mean digits"),
        (["digits", "--claim", "Releases"], "no name of a PersistentVolumeClaim"),
        (["digits", "--claim", "a/../b"], "no name of a PersistentVolumeClaim"),
        (["digits", "--image", "an image"], "no name of an image"),
        (["digits", "--image", ""], "no name of an image"),
    ],
)
def test_what_cannot_be_deployed_is_refused_in_a_sentence(
    root, tmp_path, capsys, arguments, reason
):
    name, *rest = arguments
    assert main([name, str(tmp_path / "out"), "--root", str(root), *rest]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_image_and_a_claim_are_quoted_where_they_need_it(root):
    made = plan.plan(Store(root / "serving"), "digits", 'r:5000/a@sha256:0"#', "null")
    deployment = yaml.safe_load(folder.contents(made)["kubernetes/deployment.yaml"])
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == 'r:5000/a@sha256:0"#'
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "null"


# YAML.

WORDS = st.sampled_from(
    ["yes", "No", "null", "~", "1", "0x1f", "1e3", "1_000", "-", "--", "---", "a: b", "a #b", "a:",
     "- a", "*a", "&a", "!a", "{a", "[a", "%a", "@a", "`a", "| a", "> a", "=", "<<", "", " ", "\n",
     "a\n", "a\nb\n", "a\n\nb\n", " a\nb\n", "a\nb \n", "a\n\n", "12:30:00", "2026-01-01", "é",
     "\x00", "\x85", "\u2028", "\ufeff", "\U0001f600", "\\", "\"'", "--a=b", "/a", ".inf", "a,b",
     "?", "? a"]
)  # fmt: skip
TEXT = WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    TEXT | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(TEXT, VALUES, min_size=1, max_size=3), min_size=1, max_size=3))
def test_what_is_written_as_yaml_is_what_yaml_reads(values):
    assert list(yaml.safe_load_all(documents("A comment\nof two lines", *values))) == values


def test_lines_of_text_stay_lines():
    text = documents("", {"data": {"a.config": "x {\n  y: 1\n}\n"}})
    assert text == "data:\n  a.config: |\n    x {\n      y: 1\n    }\n"
