"""`multipart/form-data`, read part by part as it arrives: no file is ever held whole here."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from roomviz.errors import InvalidArgument

FIELD_BYTES_MAX = 4096
_PART_HEADER_BYTES_MAX = 8192
PARTS_MAX = 64


@dataclass(frozen=True)
class Part:
    """One part. Its chunks are to be read before the next part is asked for; what is left of them is skipped."""

    name: str
    file_name: str
    chunks: AsyncIterator[bytes]

    async def text(self) -> str:
        """A plain field. Raises InvalidArgument where it is long or no text."""
        value = b""
        async for chunk in self.chunks:
            value += chunk
            if len(value) > FIELD_BYTES_MAX:
                raise InvalidArgument("BODY_TOO_LARGE", f"a field has at most {FIELD_BYTES_MAX} bytes")
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidArgument("MULTIPART_INVALID", f"the field {self.name[:64]} is not text") from None


class _Reader:
    """Pushes the body through the parser, and gives what it tells in the order of the body."""

    def __init__(self, request: Request, boundary: bytes):
        self._body = request.stream()
        self._told: deque[tuple[str, bytes]] = deque()
        self._header_bytes = 0
        self._over = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": lambda: self._tell("begin"),
                "on_header_field": lambda data, start, end: self._head("field", data[start:end]),
                "on_header_value": lambda data, start, end: self._head("value", data[start:end]),
                "on_header_end": lambda: self._tell("header"),
                "on_headers_finished": lambda: self._tell("headers"),
                "on_part_data": lambda data, start, end: self._tell("data", data[start:end]),
                "on_part_end": lambda: self._tell("end"),
                "on_end": lambda: self._tell("over"),
            },
        )

    def _tell(self, what: str, data: bytes = b"") -> None:
        self._told.append((what, data))

    def _head(self, what: str, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > _PART_HEADER_BYTES_MAX * PARTS_MAX:
            raise InvalidArgument("MULTIPART_INVALID", "the headers of the parts are too long")
        self._tell(what, data)

    async def next(self) -> tuple[str, bytes]:
        while not self._told:
            chunk = await anext(self._body, None)
            if chunk is None:
                raise InvalidArgument("MULTIPART_INVALID", "the body ends too early")
            try:
                self._parser.write(chunk)
            except MultipartParseError:
                raise InvalidArgument("MULTIPART_INVALID", "the body is not multipart/form-data") from None
        return self._told.popleft()

    async def data(self) -> AsyncIterator[bytes]:
        """What is left of the current part."""
        while not self._over:
            what, data = await self.next()
            if what == "end":
                self._over = True
            elif data:
                yield data

    async def head(self) -> Part | None:
        """The next part, once its headers are there; None after the last."""
        self._over = False
        headers: dict[bytes, bytes] = {}
        field, value = b"", b""
        while True:
            what, data = await self.next()
            if what == "over":
                return None
            if what == "field":
                field += data
            elif what == "value":
                value += data
            elif what == "header":
                headers[field.lower()], field, value = value, b"", b""
            elif what == "headers":
                break
        _, options = parse_options_header(headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise InvalidArgument("MULTIPART_INVALID", "a part has no name")
        name = options[b"name"].decode(errors="replace")
        return Part(name, options.get(b"filename", b"").decode(errors="replace"), self.data())


async def parts(request: Request) -> AsyncIterator[Part]:
    """The parts of the body, in their order."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidArgument("MEDIA_TYPE_UNSUPPORTED", "send the body as multipart/form-data")
    if len(options[b"boundary"]) > 70:
        raise InvalidArgument("MULTIPART_INVALID", "the boundary is too long")
    reader, count = _Reader(request, options[b"boundary"]), 0
    while (part := await reader.head()) is not None:
        count += 1
        if count > PARTS_MAX:
            raise InvalidArgument("MULTIPART_INVALID", f"a body has at most {PARTS_MAX} parts")
        yield part
        async for _ in part.chunks:
            pass
