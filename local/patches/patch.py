"""How a patch changes the emulator: it replaces functions of the emulator's modules, or parts of their source.

The emulator has no plug-in interface. Each helper here raises an error if the code that it replaces does not exist.
"""

from __future__ import annotations

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")

_PATCHES: dict[str, list[Callable[[], None]]] = defaultdict(list)


def patch(apply: Callable[[], None]) -> Callable[[], None]:
    """Register the decorated function as a patch of its module. Its docstring describes AWS and the emulator."""
    _PATCHES[apply.__module__].append(apply)
    return apply


def apply_patches(module: ModuleType) -> None:
    """Apply the patches of a module, in the order of the file."""
    for apply in _PATCHES[module.__name__]:
        apply()


def replaces(module: ModuleType | type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace `module.name` with the decorated function, which receives the original as its first argument."""
    original = getattr(module, name)

    def install(replacement: Callable[..., Any]) -> Callable[..., Any]:
        installed = _with_original(replacement, original)
        setattr(module, name, installed)
        return installed

    return install


def replaces_handler(resource_type: str, operation: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace CloudFormation's `create`, `update` or `delete` of a resource type, as `replaces` does."""
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS[resource_type]
    original = handlers[operation]

    def install(replacement: Callable[..., Any]) -> Callable[..., Any]:
        installed = handlers[operation] = _with_original(replacement, original)
        # Handlers call one another by their names in the module: an update that replaces creates, then deletes.
        setattr(provisioners, original.__name__, installed)
        return installed

    return install


def _with_original(replacement: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return replacement(original, *args, **kwargs)

    return call


@contextmanager
def during(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Set a variable of this context for the time of a call."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def after_deployment(*resource_types: str) -> Callable[[Callable[[str, dict[str, Any]], object]], object]:
    """Call the decorated function with a resource's id and properties when CloudFormation has created or updated it."""

    def install(apply: Callable[[str, dict[str, Any]], object]) -> object:
        def create(original: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
            created = original(logical_id, properties, stack)
            apply(created[0], properties)
            return created

        def update(original: Any, physical_id: str, old: Any, new: dict[str, Any], *rest: Any, **named: Any) -> Any:
            updated = original(physical_id, old, new, *rest, **named)
            apply(updated[0], new)
            return updated

        for resource_type in resource_types:
            replaces_handler(resource_type, "create")(create)
            replaces_handler(resource_type, "update")(update)
        return apply

    return install


def rewrite(module: ModuleType, name: str, *changes: tuple[str, str]) -> None:
    """Change the source of `module.name`: replace the one occurrence of each old text with the new text."""
    source = inspect.getsource(getattr(module, name))
    for old, new in changes:
        source = replace_once(source, old, new)
    exec(source, module.__dict__)  # noqa: S102 - the emulator's own source, of a pinned version


def replace_once(text: str, old: str, new: str) -> str:
    """Return `text` with its one occurrence of `old` replaced. Raises LookupError unless there is exactly one."""
    if text.count(old) != 1:
        raise LookupError(f"{old!r} occurs {text.count(old)} times in the patched code: was ministack updated?")
    return text.replace(old, new)
