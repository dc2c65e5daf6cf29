"""Run an operation over files and folders: which output belongs to which input, and what to do about bad files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_registry.actions.request import Attempt, Request, attempt
from i2i_registry.actions.sources import Scanned, SourceImage, find_sources
from i2i_registry.output_paths import check_file, check_inputs_survive, check_writable
from i2i_runtime.bundle import Bundle
from i2i_runtime.call.results import Value
from i2i_runtime.errors import RunError, UsageError
from i2i_runtime.files.atomic import atomic_write
from i2i_runtime.image.pixels import GREY, IMAGE_MODES, RGB
from i2i_runtime.image.writing import SAVE_FORMATS, save_image
from i2i_runtime.schema.operations import ImageOutput, Operation, VectorOutput

DEFAULT_SUFFIX = ".png"
PAGES_SUFFIX = ".tif"
"""of images with a number of channels that image files do not have: a page for each"""

VECTOR_SUFFIX = ".npy"
"""of results that are numbers: the code that `encode` reads from an image"""


@dataclass(frozen=True, slots=True)
class ImageJob:
    """One image to run an operation on, and where the result goes."""

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


def plan_jobs(
    request: Request, given: Sequence[Path], out: Path, count: int | None, scanned: Scanned
) -> list[ImageJob]:
    """Which file becomes which. A folder stands for the images below it; their places in it are kept.

    For one file, `out` is a file, or a folder when it is one or has no image's extension. For more, and for several
    results of each (`count`), it is a folder. Outputs keep the whole stem of the input; where two inputs differ in
    their extension only, they keep that as well. An operation without images makes one file, or several that are
    called after it.

    Raises UsageError when an input does not exist, there is nothing to do, an output would replace an input or a file
    among the options, two inputs would become one file, or `out` does not fit.
    """
    jobs = _planned(request.operation, given, out, count, scanned)
    targets = [target for job in jobs for target in job.targets]
    check_inputs_survive(targets, [*(job.source for job in jobs if job.source), *request.files_among_options()])
    return jobs


def _planned(
    operation: Operation, given: Sequence[Path], out: Path, count: int | None, scanned: Scanned
) -> list[ImageJob]:
    suffix, main = suffix_of(operation), operation.main_image
    if main is None:
        if given:
            raise UsageError(f"{operation.name} takes no image", expected="no INPUT: it starts from nothing")
        return [_job_from_nothing(operation.name, out, count, suffix)]
    if not given:
        raise UsageError("no image was given", expected="INPUT...", fix="i2i-registry run BUNDLE me.jpg -o out.png")
    # Images of 1 and 3 channels come in image files, never as arrays.
    sources = partial(find_sources, given, out, scanned, arrays=main.channels not in {GREY, RGB})
    if len(given) == 1 and not given[0].is_dir() and not _is_folder(out) and count is None:
        jobs = [ImageJob(source.path, out) for source in sources()]
        check_file(out, _suffixes(suffix))
        return jobs
    _check_folder(out, suffix, "inputs" if count is None else "results")
    return [replace(job, count=count) for job in _place(sources(), out, suffix)]


def run_jobs(
    bundle: Bundle, request: Request, jobs: Sequence[ImageJob], outputs: Sequence[str]
) -> Iterator[Attempt[tuple[Path, ...]]]:
    """Yield the files of every job, as they are done. A bad image does not stop the others.

    `outputs` are saved beside the image: "attention" becomes NAME.attention.png. The first result has the seed of the
    request, every further one the next.

    Raises UsageError when the request itself is wrong: then no other image would do better.
    """
    for index, job in enumerate(jobs):
        yield attempt(partial(_make, bundle, request.with_seed(index * len(job.targets)), job, outputs))


def suffix_of(operation: Operation) -> str:
    """How the first result of an operation is saved."""
    image = next((each for each in operation.outputs if isinstance(each, ImageOutput)), None)
    if image is None:
        return VECTOR_SUFFIX
    return DEFAULT_SUFFIX if image.channels is None or image.channels in IMAGE_MODES else PAGES_SUFFIX


def _make(bundle: Bundle, request: Request, job: ImageJob, outputs: Sequence[str]) -> tuple[Path, ...]:
    results = request.run(bundle, None if job.source is None else str(job.source), ["image", *outputs], job.count)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    vectors = {output.name for output in request.operation.outputs if isinstance(output, VectorOutput)}
    written = [path for pair in zip(results, job.targets, strict=True) for path in _save_all(*pair, vectors)]
    for path in written:
        if not path.is_file():
            raise RunError(f"{path} is not there after it was written", fix="look for a program that removes it")
    return tuple(written)


def _save_all(values: Mapping[str, Value], target: Path, vectors: Collection[str]) -> Iterator[Path]:
    """Yield the first result as `target`, everything else that was asked for beside it."""
    for index, (name, value) in enumerate(values.items()):
        suffix = VECTOR_SUFFIX if name in vectors else DEFAULT_SUFFIX
        path = target if index == 0 else target.with_name(f"{target.stem}.{name}{suffix}")
        if name in vectors:
            yield _save_array(np.asarray(value), path)
        else:
            yield save_image(value if isinstance(value, Image.Image) else np.asarray(value, np.uint8), path)


def _save_array(array: NDArray[np.generic], path: Path) -> Path:
    with atomic_write(path) as partial_file, partial_file.open("wb") as file:
        np.save(file, array)
    return path


def _job_from_nothing(name: str, out: Path, count: int | None, suffix: str) -> ImageJob:
    if count is None:
        check_file(out, _suffixes(suffix))
        return ImageJob(None, out)
    _check_folder(out, suffix, "results")
    return ImageJob(None, out / f"{name}{suffix}", count)


def _is_folder(out: Path) -> bool:
    return out.is_dir() or not out.suffix


def _check_folder(out: Path, suffix: str, what: str) -> None:
    if out.is_file() or out.suffix.lower() in _suffixes(suffix):
        raise UsageError(f"-o {out} is one file, the {what} are several", expected="a folder", fix="-o results/")
    check_writable(out / "result")


def _suffixes(suffix: str) -> Collection[str]:
    named = {VECTOR_SUFFIX: (VECTOR_SUFFIX,), PAGES_SUFFIX: (PAGES_SUFFIX, ".tiff", VECTOR_SUFFIX)}
    return named.get(suffix, (*SAVE_FORMATS, VECTOR_SUFFIX))


def _place(sources: Sequence[SourceImage], out: Path, suffix: str) -> list[ImageJob]:
    sharing: dict[str, int] = defaultdict(int)
    for source in sources:
        sharing[_folded(source.place.with_suffix(""))] += 1
    jobs: list[ImageJob] = []
    taken: dict[str, SourceImage] = {}
    for source in sources:
        alone = sharing[_folded(source.place.with_suffix(""))] == 1
        target = out / source.place.with_name(f"{source.place.stem if alone else source.place.name}{suffix}")
        other = taken.setdefault(_folded(target), source)
        if other is not source:
            raise UsageError(
                found=f"{other.path} and {source.path} would both become {target}",
                expected="inputs with different names",
                fix="run them one after the other into different folders",
            )
        jobs.append(ImageJob(source.path, target))
    return jobs


def _folded(path: Path) -> str:
    # Many file systems do not tell upper from lower case.
    return str(path).casefold()
