"""Run an operation over files and folders: which output belongs to which input, and what to do about bad files."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_registry.errors import concerns_all
from i2i_registry.output_paths import check_file, check_writable
from i2i_runtime.bundle import Bundle
from i2i_runtime.call.arguments import Option, main_image
from i2i_runtime.errors import I2IError, RunError, UsageError, nearest
from i2i_runtime.files.atomic import atomic_write
from i2i_runtime.image.folders import Listing, scan_folder
from i2i_runtime.image.pixels import GREY, IMAGE_MODES, RGB
from i2i_runtime.image.reading import SAVE_FORMATS, file_parts, save
from i2i_runtime.schema.operations import Fit, ImageOutput, Operation, VectorOutput

DEFAULT_SUFFIX = ".png"
PAGES_SUFFIX = ".tif"
"""of images with a number of channels that image files do not have: a page for each"""

VECTOR_SUFFIX = ".npy"
"""of results that are numbers: the code that `encode` reads from an image"""

_Values: TypeAlias = Mapping[str, Image.Image | NDArray[np.generic]]
"""output name -> what the operation made"""


@dataclass(frozen=True, slots=True)
class Job:
    """One image to make."""

    source: Path | None
    """None for operations that start from nothing"""
    target: Path
    count: int | None = None
    """several results of the one image, numbered from 1: NAME.png becomes NAME-1.png, NAME-2.png ..."""

    @property
    def targets(self) -> tuple[Path, ...]:
        """The file of each result."""
        if self.count is None:
            return (self.target,)
        digits = len(str(self.count))
        stem, suffix = self.target.stem, self.target.suffix
        return tuple(self.target.with_name(f"{stem}-{n:0{digits}}{suffix}") for n in range(1, self.count + 1))


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for every image of a run."""

    operation: str
    options: Mapping[str, Option] = field(default_factory=dict[str, Option])
    """values for the operation's inputs, by name"""
    outputs: tuple[str, ...] = ()
    """named outputs saved beside the image: "attention" becomes NAME.attention.png"""
    seed: int | None = None
    fit: Fit | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job."""

    job: Job
    written: tuple[Path, ...] = ()
    seconds: float = 0.0
    error: I2IError | None = None


def _ignore(_listing: Listing) -> None:
    pass


def plan(
    sources: Sequence[Path],
    out: Path,
    count: int | None = None,
    suffix: str = DEFAULT_SUFFIX,
    *,
    arrays: bool = False,
    scanned: Callable[[Listing], None] = _ignore,
) -> list[Job]:
    """Which file becomes which. A folder stands for the images below it; their places in it are kept.

    For one file, `out` is a file, or a folder when it is one or has no image's extension. For more, and for several
    results of each (`count`), it is a folder, and `suffix` is how results are saved there (`suffix_of`).
    Outputs keep the whole stem of the input; where two inputs differ in their extension only, they keep that as well.

    `arrays` and `scanned` are as in `collect`.

    Raises UsageError when an input does not exist, there is nothing to do, an output would replace an input, two
    inputs would become one file, or `out` does not fit.
    """
    if len(sources) == 1 and not sources[0].is_dir() and not _is_folder(out) and count is None:
        _check_inputs_exist(sources)
        check_file(out, _suffixes(suffix))
        jobs = [Job(sources[0], out)]
    else:
        _check_folder(out, suffix, "inputs" if count is None else "results")
        found = collect(sources, out, arrays=arrays, scanned=scanned)
        jobs = [replace(job, count=count) for job in _place(found, out, suffix)]
    _check_inputs_survive(jobs)
    return jobs


def plan_from_nothing(name: str, out: Path, count: int | None, suffix: str) -> list[Job]:
    """As `plan`, for an operation that takes no image: several results are called after `name`."""
    if count is None:
        check_file(out, _suffixes(suffix))
        return [Job(None, out)]
    _check_folder(out, suffix, "results")
    return [Job(None, out / f"{name}{suffix}", count)]


def collect(
    sources: Sequence[Path], out: Path, *, arrays: bool = False, scanned: Callable[[Listing], None] = _ignore
) -> list[tuple[Path, Path]]:
    """(input, its place below the folder it was found in). What lies in `out` is no input of the same run.

    `arrays`: whether .npy files in folders are images. `scanned` gets what was found in each folder, and what was
    left out.

    Raises UsageError when an input does not exist, or a folder holds no images.
    """
    _check_inputs_exist(sources)
    found: list[tuple[Path, Path]] = []
    results = out.resolve()
    for source in sources:
        if not source.is_dir():
            found.append((source, _name_of(source)))
            continue
        listing = scan_folder(source, arrays=arrays)
        scanned(listing)
        inside = [path for path in listing.images if not path.resolve().is_relative_to(results)]
        if not inside:
            raise UsageError(
                f"{source} holds no images; {listing.sentence() or 'nothing else either'}",
                expected="PNG, JPEG, WebP ...",
            )
        found += [(path, path.relative_to(source)) for path in inside]
    return found


def execute(bundle: Bundle, jobs: Sequence[Job], settings: Settings) -> Iterator[Outcome]:
    """Make every image, one outcome each, as they are done. A bad one does not stop the others.

    The first result has the seed of the settings, every further one the next.

    Raises UsageError when the settings themselves are wrong: then no other image would do better.
    """
    for index, job in enumerate(jobs):
        started = time.monotonic()
        seed = None if settings.seed is None else settings.seed + index * len(job.targets)
        try:
            written = _make(bundle, job, settings, seed)
        except I2IError as error:
            if concerns_all(error):
                raise
            yield Outcome(job, error=error)
        else:
            yield Outcome(job, written, time.monotonic() - started)


def suffix_of(operation: Operation) -> str:
    """How the first result of an operation is saved."""
    image = next((each for each in operation.outputs if isinstance(each, ImageOutput)), None)
    if image is None:
        return VECTOR_SUFFIX
    return DEFAULT_SUFFIX if image.channels is None or image.channels in IMAGE_MODES else PAGES_SUFFIX


def reads_arrays(operation: Operation) -> bool:
    """Whether .npy files in folders can be its images: those of 1 and 3 channels come in image files."""
    main = main_image(operation)
    return main is not None and main.channels not in {GREY, RGB}


def choose_operation(
    operations: Sequence[Operation], name: str | None, why: Callable[[str], str] = lambda _name: ""
) -> Operation:
    """The operation of this name, or the first.

    Raises UsageError with the nearest name, and with what `why` says of a name that is not there.
    """
    if name is None:
        return operations[0]
    for operation in operations:
        if operation.name == name:
            return operation
    names = [each.name for each in operations]
    raise UsageError(f"no operation named {name!r}", expected=nearest(name, names), fix=why(name))


def _make(bundle: Bundle, job: Job, settings: Settings, seed: int | None) -> tuple[Path, ...]:
    names = ["image", *settings.outputs]
    made = bundle.run(
        settings.operation,
        None if job.source is None else str(job.source),
        outputs=names,
        seed=seed,
        fit=settings.fit,
        count=job.count,
        # Inputs are named by the bundle; an input that had the name of a general option would be an OptionError there.
        **settings.options,  # pyright: ignore[reportArgumentType]
    )
    results = cast("Sequence[_Values]", [made] if job.count is None else made)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    operation = bundle.operations[settings.operation]
    vectors = {output.name for output in operation.outputs if isinstance(output, VectorOutput)}
    written = [path for pair in zip(results, job.targets, strict=True) for path in _save_all(*pair, vectors)]
    for path in written:
        if not path.is_file():
            raise RunError(f"{path} is not there after it was written", fix="look for a program that removes it")
    return tuple(written)


def _save_all(values: _Values, target: Path, vectors: Collection[str]) -> Iterator[Path]:
    """The first result as `target`, everything else that was asked for beside it."""
    for index, (name, value) in enumerate(values.items()):
        suffix = VECTOR_SUFFIX if name in vectors else DEFAULT_SUFFIX
        path = target if index == 0 else _beside(target, name, suffix)
        if name in vectors:
            yield _save_array(cast("NDArray[np.generic]", value), path)
        else:
            yield save(cast("Image.Image", value), path)


def _save_array(array: NDArray[np.generic], path: Path) -> Path:
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.save(file, array)
    return path


def _beside(target: Path, name: str, suffix: str) -> Path:
    return target.with_name(f"{target.stem}.{name}{suffix}")


def _is_folder(out: Path) -> bool:
    return out.is_dir() or not out.suffix


def _check_inputs_exist(sources: Sequence[Path]) -> None:
    missing = [source for source in sources if not all(part.exists() for part in file_parts(source))]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(f"these inputs do not exist: {missing[0]}{more}", expected="images, or folders of images")


def _check_folder(out: Path, suffix: str, what: str) -> None:
    if out.is_file() or out.suffix.lower() in _suffixes(suffix):
        raise UsageError(f"-o {out} is one file, the {what} are several", expected="a folder", fix="-o results/")
    check_writable(out / "result")


def _suffixes(suffix: str) -> Collection[str]:
    named = {VECTOR_SUFFIX: (VECTOR_SUFFIX,), PAGES_SUFFIX: (PAGES_SUFFIX, ".tiff", VECTOR_SUFFIX)}
    return named.get(suffix, (*SAVE_FORMATS, VECTOR_SUFFIX))


def _name_of(source: Path) -> Path:
    """The name that results of an input have: of several files `a.png+b.png` it is "a+b"."""
    parts = file_parts(source)
    return Path(source.name) if len(parts) == 1 else Path("+".join(part.stem for part in parts) + parts[0].suffix)


def _place(found: Sequence[tuple[Path, Path]], out: Path, suffix: str) -> list[Job]:
    sharing: dict[str, list[Path]] = defaultdict(list)
    for path, place in found:
        sharing[_folded(place.with_suffix(""))].append(path)
    jobs: list[Job] = []
    taken: dict[str, Path] = {}
    for path, place in found:
        alone = len(sharing[_folded(place.with_suffix(""))]) == 1
        name = f"{place.stem if alone else place.name}{suffix}"
        target = out / place.with_name(name)
        other = taken.setdefault(_folded(target), path)
        if other is not path:
            raise UsageError(
                found=f"{other} and {path} would both become {target}",
                expected="inputs with different names",
                fix="run them one after the other into different folders",
            )
        jobs.append(Job(path, target))
    return jobs


def _folded(path: Path) -> str:
    # Many file systems do not tell upper from lower case.
    return str(path).casefold()


def _check_inputs_survive(jobs: Sequence[Job]) -> None:
    inputs = {part.resolve() for job in jobs if job.source is not None for part in file_parts(job.source)}
    for target in (target for job in jobs for target in job.targets):
        replaced = target.resolve() in inputs or any(
            target.exists() and source.exists() and target.samefile(source) for source in inputs
        )
        if replaced:
            raise UsageError(f"{target} is an input", expected="an output elsewhere: inputs are never overwritten")
