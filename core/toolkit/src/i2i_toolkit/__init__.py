"""Training of image-to-image papers: the engine, data sets, losses, and what they share.

A plugin's trainer uses the data sets and losses; `Engine` runs a trainer in memory, and `i2i-registry train` adds the
run folder around it. Importing this loads no torch; each name below is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from i2i_toolkit.console import sit
    from i2i_toolkit.data.paired import PairedFolders, write_paired_example
    from i2i_toolkit.data.preparation import Draws, Preparation
    from i2i_toolkit.data.single import SinglePicture, find_picture, picture_size, write_single_example
    from i2i_toolkit.data.unpaired import DOMAINS, UnpairedFolders, write_unpaired_example
    from i2i_toolkit.devices import open_accelerator
    from i2i_toolkit.engine import Engine, PhaseReport, StopRequest
    from i2i_toolkit.feature_network import FeatureNetwork
    from i2i_toolkit.grids import grid, save_grid
    from i2i_toolkit.image_pool import ImagePool
    from i2i_toolkit.keeping import keep
    from i2i_toolkit.launch import launch
    from i2i_toolkit.losses import l1, least_squares, logistic
    from i2i_toolkit.request import new_record
    from i2i_toolkit.run_folder import RunFolder, Settings
    from i2i_toolkit.schedules import LinearDecay
    from i2i_toolkit.signals import stopping_on_signals
    from i2i_toolkit.single_metrics import diversity, single_image_fid
    from i2i_toolkit.state import Cursor, Snapshot
    from i2i_toolkit.winograd import Conv3x3

_MODULE_OF = {
    "Conv3x3": "winograd",
    "Cursor": "state",
    "DOMAINS": "data.unpaired",
    "Draws": "data.preparation",
    "Engine": "engine",
    "FeatureNetwork": "feature_network",
    "ImagePool": "image_pool",
    "LinearDecay": "schedules",
    "PairedFolders": "data.paired",
    "PhaseReport": "engine",
    "Preparation": "data.preparation",
    "RunFolder": "run_folder",
    "Settings": "run_folder",
    "SinglePicture": "data.single",
    "Snapshot": "state",
    "StopRequest": "engine",
    "UnpairedFolders": "data.unpaired",
    "diversity": "single_metrics",
    "find_picture": "data.single",
    "grid": "grids",
    "keep": "keeping",
    "l1": "losses",
    "launch": "launch",
    "least_squares": "losses",
    "logistic": "losses",
    "new_record": "request",
    "open_accelerator": "devices",
    "picture_size": "data.single",
    "save_grid": "grids",
    "single_image_fid": "single_metrics",
    "sit": "console",
    "stopping_on_signals": "signals",
    "write_paired_example": "data.paired",
    "write_single_example": "data.single",
    "write_unpaired_example": "data.unpaired",
}

__all__ = [
    "DOMAINS",
    "Conv3x3",
    "Cursor",
    "Draws",
    "Engine",
    "FeatureNetwork",
    "ImagePool",
    "LinearDecay",
    "PairedFolders",
    "PhaseReport",
    "Preparation",
    "RunFolder",
    "Settings",
    "SinglePicture",
    "Snapshot",
    "StopRequest",
    "UnpairedFolders",
    "diversity",
    "find_picture",
    "grid",
    "keep",
    "l1",
    "launch",
    "least_squares",
    "logistic",
    "new_record",
    "open_accelerator",
    "picture_size",
    "save_grid",
    "single_image_fid",
    "sit",
    "stopping_on_signals",
    "write_paired_example",
    "write_single_example",
    "write_unpaired_example",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
