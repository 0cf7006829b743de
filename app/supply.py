"""What is installed with Quarry: packages, versions, licenses; as lines or as a bill of materials (CycloneDX 1.6, JSON).

Read from the metadata of the installed packages (`importlib.metadata`), so it says what runs here and asks no registry.
"""

import re
from collections import deque
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from packaging.requirements import Requirement

_SELF = "quarry-search"
_NOT_RUN = {"test", "dev"}  # extras for those who work on Quarry itself
_CLASSIFIER = "License :: "
_LONGEST = 60  # characters of a license field; some hold the whole text


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package.

    Attributes:
        name: As registries spell it, in lower case with hyphens.
        version: Its version.
        license: An SPDX expression, else what its metadata say; empty when they say nothing.
        needs: Names of the installed packages that it asks for.
    """

    name: str
    version: str
    license: str
    needs: tuple[str, ...]


def installed() -> list[Package]:
    """Return Quarry and every installed package that it or its optional parts need to run, by name.

    Example:
        >>> from quarry.app.supply import installed
        >>> {"numpy", "quarry-search"} <= {package.name for package in installed()}
        True
    """
    wanted: dict[str, set[str]] = {}  # extras by name
    needs: dict[str, set[str]] = {}
    own = set(distribution(_SELF).metadata.get_all("Provides-Extra") or ()) - _NOT_RUN
    waiting = deque([(_SELF, own)])
    while waiting:
        name, extras = waiting.popleft()
        if name in wanted and extras <= wanted[name]:
            continue
        try:
            found = distribution(name)
        except PackageNotFoundError:  # an optional one
            continue
        wanted[name] = wanted.get(name, set()) | extras
        asked = [(_plain(each.name), each.extras) for each in _requirements(found, wanted[name])]
        needs[name] = {other for other, _ in asked} - {name}
        waiting.extend(asked)
    return [_package(name, [need for need in sorted(needs[name]) if need in wanted]) for name in sorted(wanted)]


def _requirements(found: Distribution, extras: set[str]) -> list[Requirement]:
    """Return what a package with these extras needs on this system."""
    every = [Requirement(line) for line in found.requires or ()]
    return [
        each
        for each in every
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]


def bill_of_materials(packages: list[Package]) -> dict[str, Any]:
    """Return the packages as a CycloneDX document, version 1.6."""
    by_name = {package.name: package for package in packages}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", **_component(by_name[_SELF])}},
        "components": [{"type": "library", **_component(each)} for each in packages if each.name != _SELF],
        "dependencies": [
            {"ref": _reference(each), "dependsOn": [_reference(by_name[need]) for need in each.needs]}
            for each in packages
        ],
    }


def _component(package: Package) -> dict[str, Any]:
    named = [{"license": {"name": package.license}}] if package.license else []
    reference = _reference(package)
    return {
        "bom-ref": reference,
        "name": package.name,
        "version": package.version,
        "purl": reference,
        "licenses": named,
    }


def _reference(package: Package) -> str:
    return f"pkg:pypi/{package.name}@{package.version}"


def _package(name: str, needs: list[str]) -> Package:
    found = distribution(name)
    return Package(name, found.version, _license(found), tuple(needs))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _license(found: Distribution) -> str:
    def field(name: str) -> list[str]:
        return [str(value).strip() for value in found.metadata.get_all(name) or ()]

    if expression := "".join(field("License-Expression")):
        return expression
    named = [line.rpartition(" :: ")[2] for line in field("Classifier") if line.startswith(_CLASSIFIER)]
    stated = "".join(field("License"))
    return "; ".join(named) or (stated if len(stated) <= _LONGEST and "\n" not in stated else "see its files")
