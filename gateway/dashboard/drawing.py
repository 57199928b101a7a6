"""pygal, without the finder that it leaves in ``sys.meta_path``: Python warns of its kind whenever an import fails.

Knows nothing else. Import pygal from here.
"""

import sys

import pygal

sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]

__all__ = ["pygal"]
