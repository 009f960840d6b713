"""What an update changes (AIP-134)."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from roomviz.errors import InvalidArgument, Violation


def updated(message: Message, mask: FieldMask, changeable: Sequence[str]) -> dict[str, Any]:
    """The fields to change, with their values as the message has them. An empty mask means the fields that are not empty.

    Raises InvalidArgument where the mask names what cannot be changed, or nothing is left to change.
    """
    paths = list(mask.paths) or [f.name for f, _ in message.ListFields() if f.name in changeable]
    wrong = [p for p in paths if p not in changeable]
    if wrong or not paths:
        raise InvalidArgument(
            "UPDATE_MASK_INVALID",
            f"an update changes one or more of {', '.join(changeable)}",
            violations=[
                Violation("update_mask", f"{p[:64]!r} cannot be changed" if p else "empty") for p in wrong or [""]
            ],
        )
    return {p: getattr(message, p) for p in paths}
