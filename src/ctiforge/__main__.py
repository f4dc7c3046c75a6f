"""``python -m ctiforge`` is ``ctiforge``."""

from ctiforge.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
