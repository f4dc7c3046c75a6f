"""Compact, defensive cyber-threat-intelligence models that run where the data is."""

__version__ = "0.1.0"
__all__ = ["__version__"]
