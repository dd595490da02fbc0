"""What is measured of a command: exit code, and the work of the processes that it starts."""

import sys

from benchmarks.measure import measure

WORK = "import time\nwhile time.process_time() < 0.5: pass"
STARTS_IT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORK!r}])"
WAITS = "import sys, time; time.sleep(0.5); sys.exit(3)"


def test_processor_time_is_that_of_all_processes_and_not_of_earlier_commands():
    working = measure([sys.executable, "-c", STARTS_IT])
    assert working.code == 0
    assert working.cpu_seconds >= 0.5
    waiting = measure([sys.executable, "-c", WAITS])
    assert waiting.code == 3
    assert waiting.seconds >= 0.5 > waiting.cpu_seconds
