"""From audio files to tensors: decode once, keep 16-bit clips, compute each spectrogram once.

Import from the modules themselves: this package loads nothing, so that the processes that decode
need not load torch. Not here: which files and labels there are (`fourier.corpora`).
"""
