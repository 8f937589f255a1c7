"""How a gap is filled: a function of the emulator is replaced by one of ours that may call it.

The emulator has no plug-in points, so these reach into its modules. Each fails loudly when what it replaces is gone.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any


def instead_of(module: ModuleType | type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate the function that replaces `module.name`; it gets the original as its first argument."""
    original = getattr(module, name)

    def install(filling: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def filled(*args: Any, **kwargs: Any) -> Any:
            return filling(original, *args, **kwargs)

        setattr(module, name, filled)
        return filled

    return install


def instead_of_handler(resource_type: str, operation: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same for CloudFormation's `create`, `update` or `delete` of a resource type."""
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS[resource_type]
    original = handlers[operation]

    def install(filling: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def filled(*args: Any, **kwargs: Any) -> Any:
            return filling(original, *args, **kwargs)

        handlers[operation] = filled
        # Handlers call one another by their module's name for them (an update that replaces creates, then deletes).
        setattr(provisioners, original.__name__, filled)
        return filled

    return install


def on_each_deployment(*resource_types: str) -> Callable[[Callable[[str, dict[str, Any]], object]], object]:
    """Decorate what is done with a resource's id and its properties once CloudFormation has created or updated it."""

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
            instead_of_handler(resource_type, "create")(create)
            instead_of_handler(resource_type, "update")(update)
        return apply

    return install


def rewrite(module: ModuleType, name: str, *changes: tuple[str, str]) -> None:
    """Replace the one occurrence of each change's old text in the source of `module.name`, where there is no call to
    replace."""
    source = inspect.getsource(getattr(module, name))
    for old, new in changes:
        source = replace_once(source, old, new)
    exec(source, module.__dict__)  # noqa: S102 - the emulator's own source, of a pinned version


def replace_once(text: str, old: str, new: str) -> str:
    """`text` with its one occurrence of `old` replaced. Raises LookupError when there is none, or more than one."""
    if text.count(old) != 1:
        raise LookupError(f"{old!r} occurs {text.count(old)} times where a gap is filled: was ministack updated?")
    return text.replace(old, new)
