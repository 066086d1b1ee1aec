"""The ``fourier`` command and what the experiments type; the only room that prints."""
