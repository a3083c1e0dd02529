"""Which sinks run, and how they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iplog_core.errors import ConfigError, IplogError, PluginError

if TYPE_CHECKING:
    from iplog_core.host import Host
    from iplog_core.settings import SinkSettings
    from iplog_core.sink import AnySink, SinkContext

    _Chosen = tuple[type[AnySink], SinkSettings]

DEFAULT_FORMAT = "text"


def sinks_of_read(host: Host, format: str | None, context: SinkContext) -> list[AnySink]:
    """Return the sink of `--format`, on standard output, and those that `--enable` names.

    A sink that `--enable` names and that writes to standard output takes the place of the default format.
    """
    named = [sink for sink in host.sinks if sink[0].name in host.config.enable]
    to_output = [sink for sink in named if _writes_to_standard_output(*sink)]
    first = to_output[0] if to_output and not format else host.sink_for(format or DEFAULT_FORMAT)
    _one_on_standard_output([first, *to_output])
    return _made(first, [sink for sink in named if sink not in to_output], context)


def sinks_of_watch(host: Host, format: str | None, context: SinkContext, *, to_terminal: bool, in_background: bool) -> list[AnySink]:
    """Return the enabled sinks, that of `--format` on standard output; with none, text for a terminal, else the system log."""
    enabled = host.sinks
    if not enabled and not format:
        if to_terminal and not in_background:
            return _made(host.sink_for(DEFAULT_FORMAT), [], context)
        return _made(None, [host.system_log()], context)
    to_output = [sink for sink in enabled if _writes_to_standard_output(*sink)]
    first = host.sink_for(format) if format else to_output[0] if to_output else None
    if first and in_background:
        raise ConfigError(f"{first[0].name}: there is no standard output in the background; set plugins.{first[0].name}.path.")
    _one_on_standard_output([*([first] if first else []), *to_output])
    return _made(first, [sink for sink in enabled if sink not in to_output and sink[0] is not (first and first[0])], context)


def _one_on_standard_output(sinks: list[_Chosen]) -> None:
    for cls, _ in sinks[1:]:
        if cls is not sinks[0][0]:
            raise ConfigError(f"{cls.name}: it would write to standard output, as {sinks[0][0].name} does; set plugins.{cls.name}.path.")


def _writes_to_standard_output(cls: type[AnySink], settings: SinkSettings) -> bool:
    """Whether a sink that has a `format` is set to write to no file."""
    return cls.format is not None and getattr(settings, "path", None) in (None, "-")


def _made(to_output: _Chosen | None, others: list[_Chosen], context: SinkContext) -> list[AnySink]:
    first = [_make(*to_output, context._replace(standard_output=True))] if to_output else []
    return first + [_make(*sink, context._replace(terminal=None)) for sink in others]


def _make(cls: type[AnySink], settings: SinkSettings, context: SinkContext) -> AnySink:
    from iplog_core.authors import reason

    try:
        return cls(settings, context)
    except IplogError:
        raise
    except Exception as error:
        raise PluginError(f"{cls.name}: the sink cannot be made: {reason(error)}.") from error
