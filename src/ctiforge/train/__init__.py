"""Recipes in, trained models out. Needs the `train` extra; classifying does not."""
