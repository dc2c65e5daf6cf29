"""Files that torch or pickle has written: told apart by their content, and put together from archives and pickles.

torch               a zip archive (since torch 1.6): <name>/data.pkl, one member <name>/data/<key> for each storage
torch (before 1.6)  one stream: three pickles about the writer, the content, the keys of the storages, the storages
torch (tar)         a tar archive (before 0.2): storages, tensors, pickle
pickle              any other: one pickle, in which storages may be whole files of the kinds above
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch

from i2i_registry.checkpoints.allowed_globals import TensorMeanings
from i2i_registry.checkpoints.limits import MOST_NAME_LENGTH, Allowance, DamageError
from i2i_registry.checkpoints.placeholders import PlaceholderName
from i2i_registry.checkpoints.restricted_unpickler import read_pickle
from i2i_registry.checkpoints.storages import ByteOrder, ElementType, Storage, UnreadTensor, numbers, rebuilt
from i2i_registry.checkpoints.tars import is_tar, read_tar
from i2i_registry.checkpoints.zips import START, Zip
from i2i_registry.errors import CheckpointError
from i2i_runtime.type_guards import is_dict, is_list, is_tuple
from i2i_runtime.untrusted_text import printable

TorchFormat = Literal["torch", "torch (before 1.6)", "torch (tar)", "pickle"]

_MAGIC = 0x1950A86A20F9469CFC6C
_STREAM_VERSION = 1001
# Protocols 2 to 5 begin with their number; the older ones with a mark, a list, a dict or a class.
_PICKLE_STARTS = b"\x80(]}c"

_UNPACK = "unpack it, and name the file inside"
_NO_WEIGHTS = "name the checkpoint of the training: a file of torch.save, or safetensors"
_OTHERS: Mapping[bytes, tuple[str, str]] = {
    b"<": ("a page of the web", "download the file itself, not the page that leads to it"),
    b"version https://git-lfs": ("a pointer of Git LFS in place of the file", "fetch the file: git lfs pull"),
    b"\x1f\x8b": ("a gzip archive", _UNPACK),
    b"BZh": ("a bzip2 archive", _UNPACK),
    b"\xfd7zXZ": ("an xz archive", _UNPACK),
    b"7z\xbc\xaf": ("a 7z archive", _UNPACK),
    b"Rar!": ("a RAR archive", _UNPACK),
    b"\x89HDF": ("a file of HDF5, as Keras writes it", "use weights of the paper's PyTorch release"),
    b"\x89PNG": ("an image", _NO_WEIGHTS),
    b"\xff\xd8\xff": ("an image", _NO_WEIGHTS),
    b"\x08": ("an ONNX model or the like, made to be run", _NO_WEIGHTS),
}
"""How files begin that are handed over in place of a checkpoint: what they are, and what to do."""
_START_LENGTH = 64


def read_file(content: bytearray, allowance: Allowance) -> tuple[TorchFormat, object]:
    """Return what a file holds: dicts, lists, tensors, plain values and inert records, nested as in the file.

    Tensors that cannot be read are `UnreadTensor`s. Raises DamageError for what is damaged, of no format that is read,
    or beyond the limits; CheckpointError for what would run code.
    """
    if not content:
        raise DamageError("it is empty")
    view = memoryview(content)
    if content.startswith(START):
        return "torch", _ZipReader(Zip(view, allowance), allowance).read()
    if is_tar(view):
        return "torch (tar)", _read_tar_format(read_tar(view), allowance)
    if content[0] not in _PICKLE_STARTS:
        raise DamageError(f"it begins with {bytes(content[:8])!r}, as no checkpoint does")
    return _read_stream(content, allowance)


def refuse_others(content: bytearray) -> None:
    """Raise DamageError that says what it is for a file that holds no checkpoint, whatever it is called."""
    start = content[:_START_LENGTH].lstrip()  # pages may begin with empty lines
    for beginning, (what, fix) in _OTHERS.items():
        if start.startswith(beginning):
            raise DamageError(f"it is {what}", fix)


def _read_stream(content: bytearray, allowance: Allowance) -> tuple[TorchFormat, object]:
    """Return a pickle, or several and storages behind them."""
    stream = _StreamReader(content, allowance)
    first = stream.next_pickle()
    if _is_number(first, _MAGIC):
        return "torch (before 1.6)", stream.read()
    if stream.position != len(content):
        raise DamageError(f"its pickle ends after {stream.position} bytes, and {len(content) - stream.position} follow")
    return "pickle", first


def _inner_file(allowance: Allowance) -> Callable[[bytes], object]:
    """Read a file inside a file, under the same allowance."""

    def read(content: bytes) -> object:
        allowance.depth -= 1
        if allowance.depth < 0:
            raise DamageError("it holds torch files inside of torch files, too deep")
        _, inside = read_file(bytearray(content), allowance)
        allowance.depth += 1
        return inside

    return read


class _ZipReader:
    """The format since torch 1.6."""

    def __init__(self, archive: Zip, allowance: Allowance) -> None:
        self._archive = archive
        self._allowance = allowance
        self._storages: dict[str, Storage] = {}
        self._root = _root(archive)
        self._order: ByteOrder = self._byte_order()

    def read(self) -> object:
        content = bytes(self._archive.read(self._archive.members[f"{self._root}data.pkl"]))
        meanings = TensorMeanings(self._allowance, self._storage, _inner_file(self._allowance))
        value, end = read_pickle(content, 0, meanings, self._allowance)
        if end != len(content):
            raise DamageError(f"its data.pkl ends after {end} bytes, and {len(content) - end} follow")
        return value

    def _byte_order(self) -> ByteOrder:
        member = self._archive.members.get(f"{self._root}byteorder")
        if member is None:
            return "little"
        said = bytes(self._archive.read(member)[:16])
        if said not in {b"little", b"big"}:
            raise DamageError(f"its byte order is {said!r}")
        return "big" if said == b"big" else "little"

    def _storage(self, identity: object) -> object:
        kind, key, count, view = _storage_identity(identity)
        if view is not None:
            raise DamageError("it has a part of a storage, as only older formats have")
        name = f"{kind.name} {key}"
        if name not in self._storages:
            self._storages[name] = self._read_storage(kind, key, count)
        return self._storages[name]

    def _read_storage(self, kind: ElementType, key: str, count: int) -> Storage:
        """One storage. What is wrong with it is kept for whoever knows the names of its tensors."""
        empty = torch.empty(0, dtype=kind.dtype)
        member = self._archive.members.get(f"{self._root}data/{key}")
        if member is None:
            return Storage(empty, f"lies on the storage {printable(key)}, which is missing")
        if member.size != count * kind.dtype.itemsize:
            has = f"has {member.size} bytes in place of {count * kind.dtype.itemsize}"
            return Storage(empty, f"lies on the storage {printable(key)}, which {has}")
        if kind.quantised:
            return Storage(empty, f"is quantised ({kind.name}), and cannot be read")
        try:
            return Storage(numbers(self._archive.read(member), kind.dtype, self._order))
        except DamageError as error:
            return Storage(empty, f"cannot be read: {error}")


def _root(archive: Zip) -> str:
    """Return what all names of a torch file begin with: "archive/". Raises CheckpointError for a program."""
    names = [name.rpartition("/") for name in archive.members]
    if any(name == "constants.pkl" or f"{folder}/".endswith("/code/") for folder, _, name in names):
        raise CheckpointError(
            found="it is a TorchScript archive: a program, not a checkpoint; nothing was run",
            expected="a file of torch.save, or safetensors",
            fix="save the state dict: torch.save(module.state_dict(), ...)",
        )
    roots = [folder + slash for folder, slash, name in names if name == "data.pkl"]
    if len(roots) != 1 or roots[0].count("/") != 1:
        raise DamageError(
            f"it is a zip archive with {len(roots)} checkpoints in it", "unpack it, and read the file inside"
        )
    return roots[0]


class _StreamReader:
    """Pickles and storages one behind the other: the format before torch 1.6, and the parts of its predecessor."""

    def __init__(self, content: bytearray, allowance: Allowance) -> None:
        self._content = content
        self._view = memoryview(content)
        self._allowance = allowance
        self._storages: dict[str, Storage] = {}
        self._types: dict[str, ElementType] = {}
        self._claimed = 0
        self.position = 0

    def next_pickle(self, persistent: Callable[[object], object] | None = None) -> object:
        """Return the pickle that comes next. By default it may refer to nothing outside of itself."""
        meanings = TensorMeanings(self._allowance, persistent or _nothing_known, _inner_file(self._allowance))
        value, self.position = read_pickle(self._content, self.position, meanings, self._allowance)
        return value

    def number(self, size: int = 8) -> int:
        """Return a signed whole number in binary."""
        return int.from_bytes(self.take(size), "little", signed=True)

    def take(self, count: int) -> memoryview:
        """Return the next bytes, which must be there."""
        left = len(self._content) - self.position
        if not 0 <= count <= left:
            raise DamageError(f"it goes on for {count} bytes, of which {left} are there")
        taken = self._view[self.position : self.position + count]
        self.position += count
        return taken

    def take_all(self) -> None:
        """Raise DamageError unless everything has been taken."""
        left = len(self._content) - self.position
        if left:
            raise DamageError(f"{left} bytes follow behind its last storage")

    def read(self) -> object:
        """Return what follows the magic number."""
        version, system = self.next_pickle(), self.next_pickle()
        if not _is_number(version, _STREAM_VERSION) or not is_dict(system):
            raise DamageError("it has the beginning of a torch file, and goes on as none does")
        order: ByteOrder = "big" if system.get("little_endian") is False else "little"
        content = self.next_pickle(self._storage)
        keys = [_key(key) for key in _list(self.next_pickle())]
        if sorted(keys) != sorted(self._storages):
            raise DamageError("the storages that follow are not those that its tensors lie on")
        for key in keys:
            self._fill(key, order)
        self.take_all()
        return content

    def _storage(self, identity: object) -> object:
        """Return a storage, whose numbers come later; or the class of a module, which comes with its source."""
        parts = _tuple(identity)
        if len(parts) > 1 and isinstance(parts[0], str) and parts[0] == "module":
            return parts[1]
        kind, key, count, view = _storage_identity(identity)
        if key not in self._storages:
            self._claimed += count * kind.dtype.itemsize
            if self._claimed > len(self._content):
                raise DamageError(f"its storages have {self._claimed} bytes, and the file has {len(self._content)}")
            problem = f"is quantised ({kind.name}), and cannot be read" if kind.quantised else ""
            self._storages[key] = Storage(torch.empty(count, dtype=kind.dtype), problem)
            self._types[key] = kind
        storage = self._storages[key]
        if self._types[key] != kind or storage.flat.numel() != count:
            raise DamageError(f"its storage {printable(key)} is of two kinds")
        if view is None:
            return storage
        return storage.part(*view)

    def _fill(self, key: str, order: ByteOrder) -> None:
        storage = self._storages[key]
        count = self.number()
        if count != storage.flat.numel():
            raise DamageError(f"its storage {printable(key)} has {count} elements in place of {storage.flat.numel()}")
        storage.flat.copy_(numbers(self.take(count * storage.flat.dtype.itemsize), storage.flat.dtype, order))

    def read_storages(self) -> dict[str, Storage]:
        """Return the part `storages` of the oldest format: each storage behind a pickle that says what it is."""
        for _ in range(_count(self.next_pickle())):
            identity = self.next_pickle()
            key, _, kind = _of_length(identity, 3)
            element = _element_type(kind)
            count = self.number()
            flat = numbers(self.take(count * element.dtype.itemsize), element.dtype)
            self._storages[_key(key)] = Storage(flat, f"is quantised ({element.name})" if element.quantised else "")
        for view in _list(self.next_pickle()):
            key, root, start, count = _of_length(view, 4)
            if _key(root) not in self._storages:
                raise DamageError("it has a part of a storage that is not there")
            self._storages[_key(key)] = self._storages[_key(root)].part(_count(start), _count(count))
        self.take_all()
        return self._storages

    def read_tensors(self, storages: dict[str, Storage]) -> dict[str, object]:
        """Return the part `tensors` of the oldest format.

        Each tensor's sizes behind a pickle that says where it lies.
        """
        tensors: dict[str, object] = {}
        for _ in range(_count(self.next_pickle())):
            key, storage_key, _ = _of_length(self.next_pickle(), 3)
            dimensions = self.number(4)
            self.take(4)  # the number of dimensions was once written as 8 bytes
            sizes, strides = ([self.number() for _ in range(max(dimensions, 0))] for _ in range(2))
            storage = storages.get(_key(storage_key))
            offset = self.number()
            tensors[_key(key)] = (
                UnreadTensor("lies on a storage that is missing")
                if storage is None
                else rebuilt(storage, offset, sizes, strides)
            )
        self.take_all()
        return tensors


def _read_tar_format(files: dict[str, memoryview], allowance: Allowance) -> object:
    missing = sorted({"storages", "tensors", "pickle"} - files.keys())
    if missing:
        raise DamageError(f"it is a tar archive without {missing[0]!r}, so no checkpoint", "unpack it")
    streams = {name: _StreamReader(bytearray(content), allowance) for name, content in files.items()}
    storages = streams["storages"].read_storages()
    known: dict[str, object] = {**storages, **streams["tensors"].read_tensors(storages)}

    def persistent(identity: object) -> object:
        if parts := _tuple(identity):
            return parts[0]  # a class, with its source
        if _key(identity) not in known:
            raise DamageError("it refers to a tensor that is not there")
        return known[_key(identity)]

    content = streams["pickle"].next_pickle(persistent)
    streams["pickle"].take_all()
    return content


def _nothing_known(_identity: object) -> object:
    raise DamageError("its pickle refers to something outside of itself")


def _storage_identity(identity: object) -> tuple[ElementType, str, int, tuple[int, int] | None]:
    """Return what torch writes in place of a storage: its type, key, number of elements, and the part that is meant."""
    parts = _tuple(identity)
    if len(parts) not in {5, 6} or not isinstance(parts[0], str) or parts[0] != "storage":
        raise DamageError("its pickle refers to something that is no storage")
    kind, key, count = _element_type(parts[1]), _key(parts[2]), _count(parts[4])
    if not parts[5:] or parts[5] is None:
        return kind, key, count, None
    _, start, length = _of_length(parts[5], 3)
    return kind, key, count, (_count(start), _count(length))


def _element_type(kind: object) -> ElementType:
    found = ElementType.of(kind.name) if isinstance(kind, PlaceholderName) and kind.module.startswith("torch") else None
    if found is None:
        name = printable(kind.type_name) if isinstance(kind, PlaceholderName) else type(kind).__name__
        raise DamageError(f"its tensors lie on a storage of the unknown kind {name}")
    return found


def _of_length(value: object, length: int) -> tuple[object, ...]:
    parts = _tuple(value)
    if len(parts) != length:
        raise DamageError("an entry of the file has not the parts that it should have")
    return parts


def _tuple(value: object) -> tuple[object, ...]:
    return value if is_tuple(value) else ()


def _is_number(value: object, wanted: int) -> bool:
    # Other types have equalities of their own.
    return type(value) is int and value == wanted


def _key(value: object) -> str:
    """Return the key of a storage or tensor, a number or a short text."""
    if not isinstance(value, (int, str)):
        raise DamageError("a key in the file is neither a number nor a text")
    if isinstance(value, str) and len(value) > MOST_NAME_LENGTH:
        raise DamageError(f"a key in the file has {len(value)} characters, and at most {MOST_NAME_LENGTH} are read")
    return str(value)


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise DamageError("a number of elements in the file is none")
    return value


def _list(value: object) -> list[object]:
    if not is_list(value):
        raise DamageError("a list is missing in the file")
    return value
