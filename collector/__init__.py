"""The usage collector: many TestMu AI organizations in, one stream of usage records out."""

__version__ = "0.1.0"
