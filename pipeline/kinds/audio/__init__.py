"""Sounds: clips or recordings, as log-mel spectrograms or as waveforms."""
