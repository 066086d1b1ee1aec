"""``python -m fourier`` is the ``fourier`` command."""

from fourier.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
