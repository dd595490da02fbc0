"""`python -m serving.server.protos.compile`: writes descriptors.binpb anew from the .proto files.

Needs grpcio-tools, which no server does.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from serving.server.protos.pool import DESCRIPTORS


def compiled() -> bytes:
    """A serialised FileDescriptorSet of every .proto file here and of what they import."""
    from grpc_tools import protoc

    folder = DESCRIPTORS.parent
    include = Path(protoc.__file__).with_name("_proto")  # google/protobuf/*.proto
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, DESCRIPTORS.name)
        arguments = [f"--proto_path={folder}", f"--proto_path={include}"]
        arguments += ["--include_imports", f"--descriptor_set_out={output}"]
        arguments += sorted(map(str, folder.glob("*.proto")))
        # Not in this process: beside other libraries' copies of protobuf it crashes.
        if subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments]).returncode:
            raise ValueError(f"the .proto files in {folder} do not compile; protoc says why above.")
        return output.read_bytes()


if __name__ == "__main__":
    DESCRIPTORS.write_bytes(compiled())
    print(f"{DESCRIPTORS} is up to date")
