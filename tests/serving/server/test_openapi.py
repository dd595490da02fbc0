"""The OpenAPI document says what the server does: all of its routes, and nothing else."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.parse

import pytest

from serving.server import openapi
from serving.server.application import Application
from serving.server.dataplane import Dataplane
from serving.server.limits import Limits
from serving.server.messages import Request
from serving.server.metrics import Metrics
from serving.server.swap import Follower
from serving.store.store import Store
from tests.helpers.colour_release import colour_release
from tests.helpers.serving_fixtures import REPOSITORY, digits_release, request, server

REFUSALS = {"_malformed", "_nameless", "_not_offered"}
"""Endpoints that answer with an error whatever they are asked."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Versions 1, `canary`, and 2 of digits."""
    directory = tmp_path_factory.mktemp("line")
    source = digits_release(directory / "source")
    store = Store(directory / "out/serving")
    store.publish("digits", source)
    store.publish("digits", source)
    store.label("digits", "canary", 1)
    return directory / "out"


@pytest.fixture(scope="module")
def url(root):
    with server(root, "--threads", "1", "--allow-load") as (base, _, _):
        yield base


def started(root, token=None) -> tuple[Application, Dataplane]:
    """An application that has loaded what is below `root`, without a transport."""

    async def start():
        dataplane = Dataplane(Metrics(), Limits(), workers=1)
        follower = Follower(Store(root / "serving"), [], dataplane)
        await follower.start()
        dataplane.ready = True
        return Application(dataplane, follower, token), dataplane

    return asyncio.run(start())


def schemathesis(directory, url: str, *arguments: str) -> None:
    """Requests made from the document, valid and invalid ones, are answered as it says. What
    Schemathesis leaves behind goes into the directory."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file"),
        *(REPOSITORY / "tests/data/schemathesis.toml", "run", f"{url}/openapi.json"),
        *(
            "--seed",
            "1",
            "--continue-on-failure",
            "--generation-database",
            "none",
            "--no-color",
            *arguments,
        ),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.helpers.openapi_hooks", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | hooks,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]


def test_requests_made_from_the_document_are_answered_as_it_says(url, tmp_path):
    # Without the second addresses of what a model's default version answers: they share the code.
    rest = ["--exclude-path-regex", r"\{version\}|\{label\}|/(un)?load"]
    schemathesis(tmp_path, url, "--phases", "examples,fuzzing", "--max-examples", "20", *rest)


@pytest.mark.full
def test_many_requests_at_every_address_are_answered_as_the_document_says(url, tmp_path):
    phases = ["--phases", "examples,coverage,fuzzing", "--max-examples", "100"]
    schemathesis(tmp_path, url, *phases, "--exclude-path-regex", "/(un)?load")
    schemathesis(tmp_path, url, *phases, "--include-path-regex", "/load")
    schemathesis(tmp_path, url, *phases, "--include-path-regex", "/unload")  # leaves no model


def test_every_route_is_in_the_document_and_the_other_way_round(root):
    application, dataplane = started(root)
    router, document = application._router, openapi.document(dataplane, guarded=False)
    described = set()
    for path, operations in document["paths"].items():
        for part, value in {"model_name": "digits", "version": "2", "label": "canary"}.items():
            path = path.replace(f"{{{part}}}", value)
        route = router.find(path).route
        for method in operations:
            assert route.endpoints[method.upper()].__name__ not in REFUSALS, (method, path)
            described.add((route.pattern.pattern, method.upper()))
    assert described == {
        (route.pattern.pattern, method)
        for route in router._routes
        for method, endpoint in route.endpoints.items()
        if endpoint.__name__ not in REFUSALS and method != "HEAD"
    }


def test_operations_have_names_of_their_own_and_references_lead_somewhere(root):
    document = openapi.document(started(root)[1], guarded=True)
    operations = [entry for path in document["paths"].values() for entry in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert {tag for entry in operations for tag in entry["tags"]} == {
        tag["name"] for tag in document["tags"]
    }
    used = set(re.findall(r'"#/components/(\w+/\w+)"', json.dumps(document)))
    there = {
        f"{kind}/{name}"
        for kind, entries in document["components"].items()
        for name in entries
        if kind != "securitySchemes"
    }
    assert used <= there
    assert there - used <= {"responses/Forbidden"} | {f"schemas/{n}" for n in ("Bytes",)}


def examples(document: dict):
    """(method, path, body) of every request that the document shows."""
    example = {
        f"{{{name}}}": urllib.parse.quote(entry["example"])
        for name, entry in document["components"]["parameters"].items()
        if entry["in"] == "path"
    }
    for path, operations in document["paths"].items():
        for part, value in example.items():
            path = path.replace(part, value)
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            body = content.get("application/json", {})
            shown = [entry["value"] for entry in body.get("examples", {}).values()]
            for value in shown or [body.get("example")]:
                yield method, path, value, set(content) - {"application/json"}


def test_every_example_works_as_it_is(root):
    with server(root, "--threads", "1", "--allow-load") as (url, _, _):
        document = request(f"{url}/openapi.json")[1]
        tried = 0
        for method, path, value, files in examples(document):
            if method == "post" and path.endswith("/unload"):
                continue
            if method == "post" and value is None:
                assert files, path
                continue
            if path in ("/", "/docs", "/metrics"):
                continue
            body = None if method == "get" else json.dumps(value).encode()
            status, answer = request(url + path, body)
            assert status == 200, (path, answer)
            tried += 1
        assert tried > 30


def test_models_of_other_sizes_are_described_without_endless_examples(root, tmp_path):
    store = Store(tmp_path / "serving")
    store.publish("digits", digits_release(tmp_path / "digits"))
    store.publish("colours", colour_release(tmp_path / "colours"))
    document = openapi.document(started(tmp_path)[1], guarded=False)
    assert "`colours` version 1: 64 x 64 x 3 pixels" in document["info"]["description"]
    assert "3 classes: red, green, blue" in document["info"]["description"]
    assert document["components"]["parameters"]["model_name"]["schema"]["enum"] == [
        "colours",
        "digits",
    ]
    shapes = document["components"]["schemas"]["Pixels"]["anyOf"]
    assert [len(shape["properties"]["shape"]["prefixItems"]) for shape in shapes] == [4, 4]
    infer = document["paths"]["/v2/models/{model_name}/infer"]["post"]
    shown = infer["requestBody"]["content"]["application/json"]["examples"]
    assert set(shown) == {"file", "text"}  # 12,288 pixels would hide everything else
    assert len(json.dumps(document)) < 100_000


def test_the_document_is_there_before_any_model_is():
    document = openapi.document(Dataplane(Metrics(), Limits(), workers=1), guarded=False)
    assert "nothing yet" in document["info"]["description"]
    assert "enum" not in document["components"]["parameters"]["model_name"]["schema"]


def test_where_a_token_is_needed_the_document_says_so_and_names_no_model_without_it(root):
    application, dataplane = started(root, token="t" * 16)

    def ask(path: str, **headers: str):
        return asyncio.run(application(Request("GET", path, "", headers, b"")))

    refused = ask("/openapi.json")
    assert refused.status == 401 and b"digits" not in refused.body
    document = json.loads(ask("/openapi.json", authorization=f"Bearer {'t' * 16}").body)
    assert document["security"] == [{"token": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            open = ask(path).status != 401
            assert (
                open == (operation.get("security") == []) == ("401" not in operation["responses"])
            )
    assert openapi.document(dataplane, guarded=False)["security"] == [{}, {"token": []}]
