"""A program: loads and calls many mutants of a bundle, and fails at the first that ends in an error not ours.

python mutants.py FOLDER KIND SEED COUNT      KIND: manifest, values, graph, zip, lone
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import i2i_runtime as i2i

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**70,
    -0.5,
    1e308,
    "",
    "x",
    "../x",
    "\ud800",
    "\x1b[2J",
    "n" * 5000,
    [],
    {},
    [[]],
    {"kind": "image"},
)
IMAGE = np.full((16, 16, 3), 9, np.uint8)


def changed(data: bytes, chance: random.Random) -> bytes:
    """Some bytes other, gone, repeated or cut off."""
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        start = chance.randrange(len(mutant) or 1)
        end = start + chance.choice((1, 1, 2, 8, 64))
        match chance.randrange(6):
            case 0:
                mutant[start:end] = chance.randbytes(len(mutant[start:end]))
            case 1:
                del mutant[start:end]
            case 2:
                mutant[start:start] = mutant[start:end]
            case 3:
                mutant[start : start + 1] = bytes([mutant[start] ^ 1 << chance.randrange(8)]) if mutant else b""
            case 4:
                mutant[start : start + 1] = chance.choice((b"\x00", b"\x7f", b"\x80", b"\xff"))
            case _:
                if chance.random() < 0.3:
                    del mutant[start:]
    return bytes(mutant)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every list or object inside a value with each of its keys."""
    found: list[tuple[Any, Any]] = []
    for key in range(len(value)) if isinstance(value, list) else list(value):
        found.append((value, key))
        if isinstance(value[key], (list, dict)):
            found += places(value[key])
    return found


def odd(manifest: dict[str, Any], chance: random.Random) -> None:
    """One or two values replaced, taken away, moved or repeated."""
    for _ in range(chance.choice((1, 1, 2))):
        holder, key = chance.choice(places(manifest))
        other, name = chance.choice(places(manifest))
        match chance.randrange(5):
            case 0:
                del holder[key]
            case 1:
                holder[key] = json.loads(json.dumps(other[name]))
            case 2 if isinstance(holder, list):
                holder.append(holder[key])
            case _:
                holder[key] = chance.choice(ODD)


def mutate(folder: Path, kind: str, chance: random.Random) -> Path:
    """A mutant of the bundle in place; what has to be loaded."""
    manifest = folder / "manifest.json"
    if kind == "manifest":
        manifest.write_bytes(changed(manifest.read_bytes(), chance))
    elif kind == "values":
        value = json.loads(manifest.read_text())
        odd(value, chance)
        manifest.write_text(json.dumps(value))
    elif kind in {"graph", "lone"}:
        graph = folder / "keep.onnx"
        graph.write_bytes(changed(graph.read_bytes(), chance))
        value = json.loads(manifest.read_text())
        value["graphs"]["keep"].update(
            sha256=hashlib.sha256(graph.read_bytes()).hexdigest(), size=max(1, graph.stat().st_size)
        )
        manifest.write_text(json.dumps(value))
        return graph if kind == "lone" else folder
    else:
        path = folder.with_suffix(".zip")
        with zipfile.ZipFile(path, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, file.name)
        path.write_bytes(changed(path.read_bytes(), chance))
        return path
    return folder


def attempt(path: Path) -> None:
    """Load a mutant and call all that it says it can do. Raises what an app would meet while it loads."""
    i2i.read_manifest(path)
    with i2i.load(path, device="cpu", threads=1) as bundle:
        assert bundle.report.isprintable()
        for name in bundle.operations:
            has_image = bundle.operations[name].main_image is not None
            try:
                bundle.run(name, IMAGE if has_image else None)
            except i2i.I2IError as error:
                check(error)


def check(error: i2i.I2IError) -> None:
    """An error may be shown as it is."""
    assert len(str(error)) <= 5000, error
    assert str(error).replace("\n", "").isprintable(), error


def main(source: Path, kind: str, seed: int, count: int) -> int:
    """How many of the mutants were refused."""
    refused = 0
    for number in range(seed, seed + count):
        place = source.with_name("mutant")
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(source, place)
        path = mutate(place, kind, random.Random(number))  # noqa: S311 - mutants that come back
        try:
            attempt(path)
        except i2i.I2IError as error:
            refused += 1
            check(error)
        except BaseException as error:
            raise AssertionError(f"mutant {number}") from error
    return refused


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
    resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
    print(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))  # noqa: T201
