"""Frozen dataclasses to plain data and back, and the checks that their fields share.

`from_plain` is strict: an unknown key, a missing one or a value of another type is an error that
names the field, never a guess. Not here: any configuration of its own.
"""

import dataclasses
import math
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from fourier.errors import ConfigError
from fourier.shown import one_line

T = TypeVar("T")

MOST_SHOWN = 80
"""Characters of a wrong value that a message shows."""


class _Short(reprlib.Repr):
    """`repr` of what may be very long, or very deep."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = MOST_SHOWN

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write numbers of more than 4,300 digits."""
        del level
        return repr(x) if abs(x) < 10**MOST_SHOWN else f"<a number of {x.bit_length()} bits>"


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless ``low <= value <= high``."""
    if not low <= value <= high:  # also refuses NaN
        raise ValueError(f"`{low:g} <= {name} <= {high:g}` must hold, but got {shorten(value)}")


def require_one_of(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise ValueError unless the value is one of the choices."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}, but got {shorten(value)}")


def check_types(config: Any) -> None:
    """Hold a dataclass's values against its annotations, for the beginning of ``__post_init__``.

    A whole number for a float becomes one, a list for a tuple a tuple, so that equal settings are
    equal. Nothing else is converted: ``"128"``, ``True`` and ``64.0`` are no whole numbers.

    Raises:
        ValueError: a value is of another type; the message names the field.
    """
    for name, hint in _hints(type(config)).items():
        value = getattr(config, name)
        try:
            fitting = _value(hint, value, name, nested=False)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if fitting is not value:
            object.__setattr__(config, name, fitting)


def shorten(value: object) -> str:
    """A value as it may stand in a message: on one line, and not a novel."""
    return one_line(_Short().repr(value))


def to_plain(config: Any) -> dict[str, Any]:
    """Turn a dataclass into nested dicts and lists that JSON can hold."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_plain(cls: type[T], data: Mapping[str, Any], where: str = "") -> T:
    """Build a dataclass from what `to_plain` made of it.

    Args:
        cls: a dataclass whose fields are numbers, strings, None, tuples or dataclasses.
        data: its fields by name; every field must be there.
        where: dotted path for error messages.

    Raises:
        ConfigError: a key is unknown or missing, a type is wrong, or a bound does not hold.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"`{where or cls.__name__}` must be an object, but got {shorten(data)}")
    hints = _hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in data:
        if key not in names:
            shown = shorten(str(key)).strip("'\"")
            raise ConfigError(f"`{_join(where, shown)}` is not a setting of {cls.__name__}")
    for name in names:
        if name not in data:
            raise ConfigError(f"`{_join(where, name)}` is missing from {cls.__name__}")
    values = {name: _value(hints[name], data[name], _join(where, name)) for name in names}
    try:
        return cls(**values)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"{where or cls.__name__}: {error}") from None


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts to one level with dotted names, ``{"spectrogram.n_mels": 128, …}``."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, _join(prefix, key))
        else:
            flat[_join(prefix, key)] = value
    return flat


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _hints(cls: type[Any]) -> Mapping[str, Any]:
    return typing.get_type_hints(cls)


def _value(hint: Any, value: Any, where: str, *, nested: bool = True) -> Any:
    """One value checked against one annotation; dataclasses in it are plain data if ``nested``."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _union(typing.get_args(hint), value, where, nested)
    if origin is Literal:
        if value not in typing.get_args(hint):
            listed = ", ".join(map(repr, typing.get_args(hint)))
            raise ConfigError(f"`{where}` must be one of {listed}, but got {shorten(value)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"`{where}` must be a list, but got {shorten(value)}")
        item = typing.get_args(hint)[0]
        return tuple(_value(item, entry, f"{where}[{i}]") for i, entry in enumerate(value))
    if dataclasses.is_dataclass(hint):
        if nested:
            return from_plain(typing.cast(type[Any], hint), value, where)
        return _instance((hint,), value, where)
    return _scalar(hint, value, where, nested)


def _instance(classes: tuple[Any, ...], value: Any, where: str) -> Any:
    if type(value) not in classes:
        listed = ", ".join(cls.__name__ for cls in classes)
        raise ConfigError(f"`{where}` must be one of {listed}, but got {shorten(value)}")
    return value


def _union(options: tuple[Any, ...], value: Any, where: str, nested: bool) -> Any:
    """None, or one of several dataclasses told apart by their ``name``, or a plain scalar."""
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    if len(options) == 1:
        return _value(options[0], value, where)
    if not nested:
        return _instance(options, value, where)
    by_name = {typing.get_args(_hints(o)["name"])[0]: o for o in options}
    name = value.get("name") if isinstance(value, Mapping) else None
    if not isinstance(name, str) or name not in by_name:
        listed = ", ".join(by_name)
        raise ConfigError(
            f"`{_join(where, 'name')}` must be one of {listed}, but got {shorten(name)}"
        )
    return from_plain(by_name[name], value, where)


def _scalar(hint: Any, value: Any, where: str, finite: bool) -> Any:
    accepted = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"`{where}` must be {hint.__name__}, but got {shorten(value)}")
    if hint is not float:
        return value
    try:
        number = value if isinstance(value, float) else float(value)
    except OverflowError:
        number = math.inf
    if finite and not math.isfinite(number):
        raise ConfigError(f"`{where}` must be finite, but got {shorten(value)}")
    return number
