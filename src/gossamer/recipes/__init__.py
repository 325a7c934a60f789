"""Recipes: a comparison as one value, from Python, the command line, or a TOML or YAML file."""

from gossamer.recipes.choice import Choice as Choice
from gossamer.recipes.document import RecipeError as RecipeError
from gossamer.recipes.recipe import Recipe as Recipe

__all__ = ["Choice", "Recipe", "RecipeError"]
