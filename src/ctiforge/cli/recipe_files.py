"""Bundled recipes on the command line: copy one to change it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ctiforge.core.errors import InputError, RecipeError, did_you_mean

if TYPE_CHECKING:
    from ctiforge.recipes.reading import RecipeKind

__all__ = ["copy_bundled_recipe"]


def copy_bundled_recipe(name: str, target: Path, kind: RecipeKind) -> None:
    """Copy a bundled recipe, comments and all, to a file that does not exist.

    Raises:
        RecipeError: there is no bundled recipe of that kind with that name.
        InputError: the target exists or cannot be written.
    """
    from ctiforge.recipes.reading import bundled_recipe_path, bundled_recipes

    names = bundled_recipes(kind)
    if name not in names:
        hint = did_you_mean(name, names) or f"bundled recipes: {', '.join(names)}"
        raise RecipeError(f"no bundled recipe named {name!r}", fix=hint)
    try:
        with bundled_recipe_path(name).open("rb") as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy)
    except FileExistsError:
        raise InputError(f"{target}: exists already", fix="name a file that does not exist") from None
    except OSError as error:
        raise InputError(f"{target}: cannot write ({error.strerror})", fix="name a file in a folder that exists") from None
