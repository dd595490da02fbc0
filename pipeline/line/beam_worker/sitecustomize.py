"""Imported by Python itself when Beam starts a local worker process, see `runner.execute`.

TFDV cannot be imported before TFX has stood in for a module that their common library lacks, and a
worker would otherwise begin with TFDV.
"""

import sys

if "apache_beam.runners.worker.sdk_worker_main" in sys.orig_argv:
    import tfx  # noqa: F401
