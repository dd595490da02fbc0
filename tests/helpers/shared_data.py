"""Real data sets beside the checkout; tests that need them are skipped where they are absent."""

import pytest

from components.base.fingerprint import ROOT

PREPARED = ROOT.parent / "shared" / "data" / "tfds"
needs_data = pytest.mark.skipif(
    not PREPARED.is_dir(), reason=f"no prepared TFDS sets in {PREPARED}"
)
PETS = PREPARED.parent / "pets.tar"
needs_pets = pytest.mark.skipif(not PETS.is_file(), reason=f"no photographs at {PETS}")
