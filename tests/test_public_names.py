"""What is public: the names that docs/api.md lists. Each `__all__` has them, and no document shows another."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import runpy
import warnings
from pathlib import Path

import pytest

import carousel
from carousel.deprecation import warn_renamed

ROOT = Path(__file__).resolve().parent.parent
LISTED = {
    package: names
    for package, (_, names) in runpy.run_path(str(ROOT / "docs" / "site" / "reference.py"))["public"]().items()
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))


@pytest.mark.parametrize("package", LISTED)
def test_a_package_has_the_names_that_the_page_lists(package):
    module = importlib.import_module(package)
    assert LISTED[package] == list(module.__all__)
    for name in LISTED[package]:
        value = getattr(module, name)
        assert inspect.ismodule(value) or value.__doc__, f"{package}.{name} has no docstring"


def test_every_package_that_says_what_it_offers_is_listed_or_below_the_line():
    """Packages whose `__all__` is for Carousel's own files: they are no promise."""
    inside = re.compile(
        r"carousel\.(page|course|insight\.drawing|tasks\.table|engines|engines\.native|cells\..*|export\..*)"
    )
    saying = set()
    for file in (ROOT / "carousel").rglob("__init__.py"):
        name = ".".join(file.relative_to(ROOT).parts[:-1])
        if "__all__" in file.read_text(encoding="utf-8"):
            saying.add(name)
    assert {name for name in saying if not inside.fullmatch(name)} <= set(LISTED)


def python_of(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    return text if page.suffix == ".py" else "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))


def names_in(code: str) -> set[tuple[str, str]]:
    """(package, name) of all that is taken from Carousel: by an import, or as an attribute of a package."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "carousel":
            found |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute):
            path = ast.unparse(node.value)
            if path.split(".")[0] == "carousel" and re.fullmatch(r"[\w.]+", path):
                found.add((path, node.attr))
    return found


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES], ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_shown_is_public(page):
    for package, name in names_in(python_of(page)):
        if package in LISTED:
            known = name in LISTED[package] or f"{package}.{name}" in LISTED or name == "__version__"
            # carousel.layers, where only something below it is meant
            assert known or any(one.startswith(f"{package}.{name}.") for one in LISTED), f"{package}.{name} is private"
        else:
            parent, _, last = package.rpartition(".")
            assert last in LISTED.get(parent, ()), f"{package} is private"


def test_a_renamed_name_warns_its_caller_and_says_what_to_use():
    def former() -> None:
        warn_renamed("carousel.former", "carousel.present")

    with pytest.warns(
        DeprecationWarning, match=r"^carousel.former is now called carousel.present\. The old name will be"
    ) as seen:
        former()
    assert seen[0].filename == __file__


def test_public_names_are_used_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for package, names in LISTED.items():
            for name in names:
                getattr(importlib.import_module(package), name)
    with pytest.raises(AttributeError, match="module 'carousel.training' has no attribute 'trunkated'"):
        _ = carousel.training.trunkated
