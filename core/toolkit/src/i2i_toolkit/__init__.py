"""Training of image-to-image papers: the engine, data sets, losses, and what they share.

A plugin's trainer uses the data sets and losses; `Engine` runs a trainer in memory, and `i2i-registry train` adds the
run folder around it. Importing this loads no torch; each name below is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
