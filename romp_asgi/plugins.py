"""Plug-ins: code that ``romp.toml`` names, and that registers filters and routes."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from romp_asgi.errors import PluginError
from romp_asgi.filters.chain import StompFilter
from romp_asgi.filters.http import HttpFilter

if TYPE_CHECKING:
    from romp_asgi.app import Romp

logger = logging.getLogger(__name__)


def install(romp: Romp, name: str) -> None:
    """Import a plug-in and let it register what it has.

    Args:
        romp: the application.
        name: ``package.module:name`` of a function that is called with the
            application, or of a filter: a class, made without arguments, or an
            object. One with ``do_filter(context, request)`` is a filter of HTTP.

    Raises:
        PluginError: if that is not possible.
    """
    found = _find(name)
    try:
        if isinstance(found, type) and hasattr(found, "do_filter"):
            found = found()
        if isinstance(found, HttpFilter) and _sees_requests(found):
            romp.http_filter(found)
        elif isinstance(found, StompFilter):
            romp.stomp_filter(found)
        elif callable(found) and not isinstance(found, type):
            _call(found, romp)
        else:
            what = type(found).__name__
            raise PluginError(
                name, f"expected a function or a filter with do_filter(), not {what}"
            )
    except PluginError:
        raise
    except Exception as exc:
        raise _failed(name, exc) from exc
    logger.info("loaded plugin %s", name)


def _sees_requests(filter: HttpFilter) -> bool:
    """Whether it is a filter of HTTP; those of frames look alike but for this."""
    names = list(inspect.signature(filter.do_filter).parameters)
    return names[1:] == ["request"]


def _call(function: Callable[[Romp], object], romp: Romp) -> None:
    if inspect.iscoroutinefunction(function):
        raise TypeError("it is async, and there is no loop yet")
    function(romp)


def _find(name: str) -> object:
    module, colon, attributes = name.partition(":")
    if not (module and colon and attributes):
        raise PluginError(name, "expected package.module:name")
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is not None and f"{module}.".startswith(f"{exc.name}."):
            raise PluginError(name, f"there is no module {exc.name}") from exc
        raise _failed(name, exc) from exc
    except Exception as exc:
        raise _failed(name, exc) from exc
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise PluginError(name, f"{module} has no {attributes}") from None
    return found


def _failed(name: str, error: Exception) -> PluginError:
    """It is the plug-in's own error: where it comes from is for the log."""
    logger.debug("plugin %s", name, exc_info=error)
    return PluginError(name, f"it failed with {type(error).__name__}: {error}")
