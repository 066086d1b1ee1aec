"""A small synthesiser with which the demo corpora are made: sounds, drums, scores, styles, moods.

Everything here is NumPy and decided by the random generator that is handed in. Not here: files,
labels, folders (`fourier.corpora.demo`).
"""
