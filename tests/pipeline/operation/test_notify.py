"""Who asked for it is told of a verdict, within bounds, and changes nothing."""

import json
import time

import pytest

from components.base.refusal import ConfigError
from pipeline.configuration import presets
from pipeline.configuration.notify import NotifyConfig
from pipeline.configuration.overrides import as_arguments, override
from pipeline.operation.notify import notify
from tests.helpers.command_line import darkroom
from tests.helpers.finished_runs import finished
from tests.helpers.posts import posts


@pytest.fixture
def directory(tmp_path):
    return finished(tmp_path, {"torch": 0.99})


@pytest.fixture
def hook():
    with posts() as server:
        yield server


def test_a_command_gets_the_verdict(directory, tmp_path):
    command = f'cat > "{tmp_path}/got"; echo "$DARKROOM_RUN" > "{tmp_path}/where"'
    assert list(notify(NotifyConfig(command=command), directory)) == []
    assert (tmp_path / "got").read_bytes() == (directory / "verdict.json").read_bytes()
    assert (tmp_path / "where").read_text().strip() == str(directory)


def test_a_webhook_gets_the_verdict(directory, hook):
    posted, url = hook
    assert list(notify(NotifyConfig(webhook=f"{url}/hook"), directory)) == []
    assert json.loads(posted[0].body)["status"] == "released"


def test_what_fails_is_named(directory, hook):
    _, url = hook
    config = NotifyConfig(command="echo no such mailbox >&2; exit 7", webhook=f"{url}/refused")
    assert list(notify(config, directory)) == [
        "notify.command failed: exit status 7: no such mailbox",
        "notify.webhook failed: it answered 500 Internal Server Error",
    ]
    (failure,) = notify(NotifyConfig(webhook="http://127.0.0.1:1/secret"), directory)
    assert "refused" in failure and "secret" not in failure


def test_nobody_waits_for_one_that_takes_too_long(directory, hook, tmp_path):
    _, url = hook
    command = f"(sleep 2; touch {tmp_path}/late) & wait"
    config = NotifyConfig(command=command, webhook=f"{url}/slow", seconds=0.3)
    started = time.monotonic()
    failures = list(notify(config, directory))
    assert time.monotonic() - started < 2
    assert failures == [
        "notify.command failed: it took longer than 0.3 s (notify.seconds) and was ended",
        "notify.webhook failed: timed out",
    ]
    time.sleep(2)
    assert not (tmp_path / "late").exists()  # what it started ended, too


def test_an_address_is_written_nowhere():
    config = override(presets.digits(), {"notify.webhook": "https://chat.example/secret"})
    assert config.notify.webhook.get_secret_value().endswith("secret")
    assert not any("secret" in line for line in (*as_arguments(config), repr(config)))
    assert "secret" not in config.model_dump_json()
    with pytest.raises(ConfigError, match="notify.webhook: .*begins with http"):
        override(presets.digits(), {"notify.webhook": "chat"})


def test_a_run_tells_of_a_folder_without_images_and_ends_as_it_would(tmp_path):
    (tmp_path / "none/a").mkdir(parents=True)
    settings = [f"root={tmp_path / 'out'}", f"notify.command=cat > {tmp_path}/got; exit 1"]
    done = darkroom("run", f"folder:{tmp_path / 'none'}", *settings)
    assert done.returncode == 4
    verdict = json.loads((tmp_path / "got").read_text())
    assert verdict["status"] == "refused" and verdict["exit_code"] == 4
    assert "notify.command failed: exit status 1" in done.stdout
