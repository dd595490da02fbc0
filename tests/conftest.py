"""One process runs all tests, and thereby TensorFlow and PyTorch together."""

import sys

# Triton, which PyTorch's optimisers import where it is installed, crashes the process when it is
# loaded after TensorFlow: both bring an LLVM of their own. No test compiles kernels with it, and
# PyTorch does without.
sys.modules.setdefault("triton", None)
