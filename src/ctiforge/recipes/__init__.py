"""Recipes shipped with ctiforge: commented YAML, one file each."""

__all__: list[str] = []
