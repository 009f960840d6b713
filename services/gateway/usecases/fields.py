"""What an update changes: field masks (AIP-134) and etags (AIP-154)."""

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from roomviz.errors import Aborted, InvalidArgument, Violation


def updated(mask: FieldMask, resource: Message, known: tuple[str, ...]) -> set[str]:
    """The fields to change, of those that can be; no mask: what is set. Raises UPDATE_MASK_INVALID."""
    paths = set(mask.paths)
    if not paths:
        return {f.name for f, _ in resource.ListFields()} & set(known)
    if paths == {"*"}:
        return set(known)
    wrong = sorted(paths - set(known))
    if wrong:
        message = f"only {', '.join(known)} can be changed"
        violations = [Violation(f"update_mask.paths: {p[:40]}", message) for p in wrong]
        raise InvalidArgument("UPDATE_MASK_INVALID", message, {"fields": ",".join(known)}, violations=violations)
    return paths


def check_etag(given: str, now: str) -> None:
    """Raises ETAG_MISMATCH where the caller has seen another state than the one that is; empty: any will do."""
    if given and given != now:
        raise Aborted("ETAG_MISMATCH", "it was changed since it was read; read it again", {"etag": now})
