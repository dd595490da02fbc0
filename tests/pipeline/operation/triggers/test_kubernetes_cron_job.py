"""The CronJob, read back with Kubernetes's own schemas."""

import json
import re
from pathlib import Path

import pytest
import yaml

from components.base.fingerprint import ROOT
from pipeline.configuration.configure import configure
from pipeline.configuration.overrides import parse_overrides
from pipeline.operation.triggers import kubernetes_cron_job
from pipeline.operation.triggers.scheduled_run import scheduled_run
from tests.helpers.images import write_class_folders
from tests.helpers.schedules import scheduled


def job(run) -> dict:
    (document,) = yaml.safe_load_all(kubernetes_cron_job.text(run))
    return document


def pod(document: dict) -> dict:
    return document["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def validated(document: dict) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed"
    )
    for version in ("1.29", validate.latest_version()):
        validate.validate(document, version, strict=True)


def test_kubernetes_own_schema_knows_every_field(tmp_path):
    photos = write_class_folders(tmp_path / "photos", per_class=6)
    (tmp_path / "more.args").write_text("train.epochs=3\n")
    for preset in ("digits", f"folder:{photos}"):
        run = scheduled_run(preset, "0 3 * * *", [f"@{tmp_path / 'more.args'}"])
        validated(job(run))


def test_one_at_a_time_and_what_is_begun_again(tmp_path):
    spec = job(scheduled(tmp_path, "30 2 * * 7"))["spec"]
    assert spec["schedule"] == "30 2 * * 0" and spec["concurrencyPolicy"] == "Forbid"
    made = spec["jobTemplate"]["spec"]
    assert made["backoffLimit"] == 0 and made["template"]["spec"]["restartPolicy"] == "Never"
    codes = [rule.get("onExitCodes", {}) for rule in made["podFailurePolicy"]["rules"]]
    (container,) = made["template"]["spec"]["containers"]
    assert {"containerName": container["name"], "operator": "In", "values": [75]} in codes


def test_it_runs_the_image_of_the_dockerfile_as_its_user_and_writes_only_to_volumes(tmp_path):
    document = pod(job(scheduled(tmp_path)))
    (container,) = document["containers"]
    dockerfile = (ROOT / "pipeline/Dockerfile").read_text()
    assert f"-t {container['image']} " in dockerfile
    context = container["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in dockerfile
    assert document["securityContext"]["fsGroup"] == context["runAsGroup"]
    assert context["readOnlyRootFilesystem"] and context["capabilities"] == {"drop": ["ALL"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert {"/out", "/tmp", "/home/darkroom"} == mounts.keys()
    assert set(mounts.values()) == {volume["name"] for volume in document["volumes"]}
    assert container["args"] == ["run", "digits", "root=/out", "name=digits", "train.threads=4"]


def in_the_container(args: list[str], mounted: dict[str, Path], tmp_path: Path) -> list[str]:
    """The arguments with the container's paths where they lie here."""
    return [
        re.sub("/images|/etc/darkroom|/out", lambda found: str(mounted[found[0]]), word)
        for word in args
    ]


def test_the_container_runs_the_same_configuration(tmp_path, monkeypatch):
    """But for where things lie, and threads."""
    monkeypatch.chdir(tmp_path)
    write_class_folders(tmp_path / "My photos", per_class=6)
    write_class_folders(tmp_path / "images", per_class=6)
    (tmp_path / "etc").mkdir()
    (tmp_path / "more.args").write_text("train.epochs=3\n")
    words = ["@more.args", "gates.min_accuracy=0.6", "root=elsewhere"]
    for preset, given in (
        ("folder:My photos", words),
        ("digits", [*words, "data.source=folder:My photos", "image.height=32", "image.width=32"]),
    ):
        run = scheduled_run(preset, "0 3 * * *", given)
        text = kubernetes_cron_job.text(run)
        (container,) = pod(yaml.safe_load(text))["containers"]
        assert str(tmp_path) not in json.dumps(container)
        secret = next(line for line in text.splitlines() if "create secret" in line)
        assert secret.endswith(f"--from-file=more.args={tmp_path / 'more.args'}")
        mounted = {"/images": tmp_path / "images", "/etc/darkroom": tmp_path, "/out": tmp_path}
        command, name, *rest = in_the_container(container["args"], mounted, tmp_path)
        there = configure(name, parse_overrides(rest))
        assert command == "run" and there.name == run.config.name
        same = {"name", "image", "model", "augment", "gates", "export", "release"}
        assert there.model_dump(include=same) == run.config.model_dump(include=same)
        assert there.train == run.config.train.model_copy(update={"threads": 4})


def test_files_that_are_called_the_same_stay_two(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.args").write_text(f"name={folder}\n")
    words = [f"@{tmp_path}/a/x.args", f"@{tmp_path}/b/x.args"]
    text = kubernetes_cron_job.text(scheduled(tmp_path, words=words))
    assert f"--from-file=x.args={tmp_path}/a/x.args" in text
    assert f"--from-file=other-x.args={tmp_path}/b/x.args" in text
    args = pod(yaml.safe_load(text))["containers"][0]["args"]
    assert args[2:4] == ["@/etc/darkroom/x.args", "@/etc/darkroom/other-x.args"]


def test_days_that_kubernetes_has_no_schedule_for_are_said(tmp_path):
    text = kubernetes_cron_job.text(scheduled(tmp_path, "0 3 */100,1-7 * MON"))
    assert "No CronJob" in text and yaml.safe_load(text) is None


@pytest.mark.parametrize("name", ["Digits", "digits_2", "3d", "digits.v2", "a" * 100, "0", "A."])
def test_every_releases_name_becomes_one_that_kubernetes_takes(tmp_path, name):
    document = job(scheduled(tmp_path, name=name))
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])", document["metadata"]["name"])
    other = job(scheduled(tmp_path, name=name + "_"))
    assert other["metadata"]["name"] != document["metadata"]["name"]
    validated(document)
