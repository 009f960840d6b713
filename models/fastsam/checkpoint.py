"""Reading a published checkpoint (a zip with a pickle) that a user brings, without running anything in it.

A pickle is a program. This reader knows how to build containers and tensors; classes of the training code become
inert holders of their state; whatever else the pickle names, or calls, is refused. Nothing is imported for it.

Source of the format: pickletools in Python's library (opcodes), and torch.serialization (the zip's layout:
`<name>/data.pkl`, and one record `<name>/data/<key>` for each storage).
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from models.failure import Failure

PICKLE_MAX_BYTES = 64 << 20
RECORDS_MAX_BYTES = 2 << 30

# The modules whose classes may appear, as holders of state.
FOREIGN = ("ultralytics.", "torch.nn.modules.")
# Things that training leaves in a checkpoint and nobody here needs: called or not, they hold nothing.
IGNORED = {
    ("_codecs", "encode"),
    ("argparse", "Namespace"),
    ("numpy", "dtype"),
    ("numpy", "float64"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "scalar"),
    ("pathlib", "PosixPath"),
    ("pathlib", "PurePosixPath"),
    ("pathlib", "WindowsPath"),
    ("torch", "device"),
    ("torch", "float16"),
    ("torch", "float32"),
    ("types", "SimpleNamespace"),
    ("ultralytics.utils", "IterableSimpleNamespace"),
    ("ultralytics.yolo.utils", "IterableSimpleNamespace"),
}
STORAGES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Refused(Failure):
    """The file is no checkpoint of this kind, or it does what a checkpoint need not do."""


class _Holder(type):
    """Makes classes whose instances hold state. Pickle creates those with `__new__`; a call is refused."""

    def __call__(cls, *arguments: Any, **named: Any) -> NoReturn:
        raise Refused(f"it calls {cls.__module__}.{cls.__qualname__}, which loading weights does not need")


class Held(metaclass=_Holder):
    """An object of the training code: its state, and nothing it can do."""

    __slots__ = ("state",)
    state: Any

    def __new__(cls, *arguments: Any, **named: Any) -> "Held":
        made = object.__new__(cls)
        object.__setattr__(made, "state", {})
        return made

    def __setstate__(self, state: Any) -> None:
        object.__setattr__(self, "state", state)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise Refused(f"it sets {name!r} on an object")


class _Shrug(_Holder):
    """Makes classes that may be called, and give an empty holder whatever they are given."""

    def __call__(cls, *arguments: Any, **named: Any) -> Held:
        return cls.__new__(cls)


class _Builder:
    """One of the few functions that a checkpoint may call; nothing can be set on it."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]):
        object.__setattr__(self, "_build", build)

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise Refused(f"it sets {name!r} on a function")

    def __setstate__(self, state: Any) -> NoReturn:
        raise Refused("it changes a function")


def _rebuild_tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    if not isinstance(storage, Tensor):
        raise Refused("a tensor lacks its storage")
    # Checked against the storage's length by torch; a copy, so that tensors share nothing.
    return torch.as_strided(storage, tuple(size), tuple(stride), offset).clone()


_BUILDERS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Builder(OrderedDict),
    ("__builtin__", "set"): _Builder(set),  # its name in the protocol that torch.save writes
    ("builtins", "set"): _Builder(set),
    ("torch", "Size"): _Builder(tuple),
    ("torch._utils", "_rebuild_tensor"): _Builder(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Builder(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _Builder(lambda data, *_: data),
    ("torch._utils", "_rebuild_parameter_with_state"): _Builder(lambda data, *_: data),
}


class _Storage(_Builder):
    """Stands for a storage class; only its type of number is of use."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype):
        super().__init__(lambda *arguments: None)
        object.__setattr__(self, "dtype", dtype)


class _Reader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, record: Callable[[str], bytes]):
        super().__init__(file)
        self._record, self._storages = record, dict[str, Tensor]()
        self._classes: dict[tuple[str, str], Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        place = (module, name)
        if place in _BUILDERS:
            return _BUILDERS[place]
        if place in IGNORED:
            return self._classes.setdefault(place, _Shrug(name, (Held,), {"__slots__": ()}))
        if module == "torch" and name in STORAGES:
            return _Storage(STORAGES[name])
        if f"{module}.".startswith(FOREIGN):
            members = {"__slots__": (), "__module__": module, "__qualname__": name}
            return self._classes.setdefault(place, _Holder(name, (Held,), members))
        raise Refused(f"it names {module}.{name}, which loading weights does not need")

    def persistent_load(self, pid: Any) -> Tensor:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], _Storage)):
            raise Refused("it refers to something that is no storage")
        dtype, key, count = pid[1].dtype, str(pid[2]), pid[4]
        if key not in self._storages:
            data = self._record(key)
            if not isinstance(count, int) or len(data) != count * dtype.itemsize:
                raise Refused(f"storage {key} has {len(data)} bytes, not {count} numbers of {dtype}")
            self._storages[key] = (
                torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
            )
        return self._storages[key]


def read(path: Path) -> Any:
    """The object in the checkpoint: containers, tensors and `Held`. Raises Refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = {info.filename: info for info in archive.infolist()}
            pickles = [name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise Refused("it holds no data.pkl: it was not saved by torch.save")
            root = pickles[0].removesuffix("data.pkl")
            if any(info.compress_type != zipfile.ZIP_STORED for info in records.values()):
                raise Refused("its records are compressed; torch.save does not do that")
            if sum(info.file_size for info in records.values()) > RECORDS_MAX_BYTES:
                raise Refused(f"it is larger than {RECORDS_MAX_BYTES >> 30} GiB")
            if records[pickles[0]].file_size > PICKLE_MAX_BYTES:
                raise Refused(f"its pickle is larger than {PICKLE_MAX_BYTES >> 20} MiB")
            order = f"{root}byteorder"
            if order in records and archive.read(order) != b"little":
                raise Refused("its numbers are stored big end first")

            def record(key: str) -> bytes:
                name = f"{root}data/{key}"
                if name not in records:
                    raise Refused(f"record {name} is missing")
                return archive.read(name)

            return _Reader(io.BytesIO(archive.read(pickles[0])), record).load()
    except Refused as refused:
        raise Refused(f"{path}: {refused}") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise Refused(f"{path}: it is cut short, or no checkpoint of PyTorch 1.6 or newer ({error})") from error
    except Exception as error:  # a hostile pickle can raise anything
        raise Refused(f"{path}: its pickle cannot be read ({type(error).__name__}: {error})") from error


def state_of(checkpoint: Any) -> dict[str, Tensor]:
    """Tensors by their dotted name, float32, from the exponential average where there is one, else the model."""
    if not isinstance(checkpoint, dict):
        raise Refused("it holds no dictionary with a model")
    module = next((checkpoint[k] for k in ("ema", "model") if checkpoint.get(k) is not None), None)
    if not isinstance(module, Held):
        raise Refused("it holds neither `ema` nor `model`")
    found: dict[str, Tensor] = {}
    _walk(module, "", found, 0)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in found.items()}


def _walk(module: Held, prefix: str, found: dict[str, Tensor], depth: int) -> None:
    if depth > 32:
        raise Refused("its modules are nested without end")
    state = module.state if isinstance(module.state, dict) else {}
    passing = state.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for name, tensor in (state.get(kind) or {}).items():
            if isinstance(tensor, Tensor) and not (kind == "_buffers" and name in passing):
                found[prefix + str(name)] = tensor
    for name, child in (state.get("_modules") or {}).items():
        if isinstance(child, Held):
            _walk(child, f"{prefix}{name}.", found, depth + 1)
