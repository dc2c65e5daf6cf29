"""Interfaces, plugins and weights of image-to-image papers.

    import i2i_registry as registry

    plugins = registry.discover()
    model, card = registry.open_model(plugins, "ugatit")

Importing this loads neither torch nor any plugin; each name below is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
