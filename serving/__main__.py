"""``python -m serving`` is ``bellwether``."""

from serving.entry import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
