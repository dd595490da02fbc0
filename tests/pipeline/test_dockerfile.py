"""The image of the line, as far as that can be told without Docker."""

import json
import os
import shutil
import subprocess
import sys

from components.base.fingerprint import PACKAGES, ROOT

DOCKERFILE = ROOT / "pipeline/Dockerfile"
STEPS = [
    tuple(line.split(maxsplit=1))
    for line in DOCKERFILE.read_text().splitlines()
    if line and not line.startswith("#")
]


def given(step: str) -> list[str]:
    return [rest for name, rest in STEPS if name == step]


def test_it_installs_from_the_hashed_lock_and_runs_without_root():
    assert given("FROM") == ["python:3.11-slim"]
    assert any("bash .ci/setup.sh" in command for command in given("RUN"))
    assert "--require-hashes" in (ROOT / ".ci/setup.sh").read_text()
    (user,) = given("USER")
    assert user == "10001:10001" and any(f"chown {user} /out" in c for c in given("RUN"))
    assert given("VOLUME") == ["/out"]
    assert json.loads(*given("ENTRYPOINT")) == ["python", "-m", "pipeline"]


def test_what_is_copied_is_let_in_and_is_all_that_the_command_and_its_code_need(tmp_path):
    sources = [name for copy in given("COPY") for name in copy.split()[:-1]]
    ignored = (ROOT / "pipeline/Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == set(sources)
    assert set(PACKAGES) <= set(sources)
    for name in sources:
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target)
        else:
            shutil.copyfile(ROOT / name, target)
    command = [sys.executable, *json.loads(*given("ENTRYPOINT"))[1:], "show", "digits"]
    alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True)
    assert done.returncode == 0 and "data.source=digits" in done.stdout, done.stderr
