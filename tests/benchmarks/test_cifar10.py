"""Benchmarks on CIFAR-10 say where it is looked for."""

import sys

import pytest

from benchmarks import __main__ as command_line


@pytest.mark.parametrize("name", ["data", "line"])
def test_without_a_prepared_set_a_benchmark_says_what_it_needs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", name, f"--data-dir={tmp_path}"])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert f"No prepared cifar10 in {tmp_path}: pass --data-dir=PATH" in said
