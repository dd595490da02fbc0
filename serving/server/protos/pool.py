"""The message classes of the services, in a descriptor pool of their own.

In protobuf's default pool they would collide with TensorFlow's messages, which have the same names,
and with those of any other module of package `inference`.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool

DESCRIPTORS = Path(__file__).with_name("descriptors.binpb")
"""What `python -m serving.server.protos.compile` writes."""


@functools.cache
def pool() -> DescriptorPool:
    """The pool with every file of `descriptors.binpb`."""
    made = DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        made.Add(file)  # what a file imports comes before it
    return made


@functools.cache
def message(name: str) -> Any:
    """The class of the message with this full name, such as "inference.ModelInferRequest"."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


def methods(service: str) -> dict[str, tuple[Any, Any]]:
    """Method name to request and response class of the service with this full name."""
    return {
        method.name: (message(method.input_type.full_name), message(method.output_type.full_name))
        for method in pool().FindServiceByName(service).methods
    }


def filled(made: Any, fields: Mapping) -> Any:
    """A message of the class `made` with these fields, as JSON has them; those that it does not
    declare are left out. Not for what must be fast."""
    return json_format.ParseDict(fields, made(), ignore_unknown_fields=True)
