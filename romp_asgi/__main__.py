"""``python -m romp_asgi`` is ``romp-asgi serve``."""

import sys

from romp_asgi.cli import main

if __name__ == "__main__":
    main(sys.argv[1:] or ["serve"])
