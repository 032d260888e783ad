"""Arrays and settings become one model file, and back: a skops file of plain arrays and strings.

skops writes it (and can read it); reading here is our own, because importing skops costs two seconds and 60 MB of
scikit-learn in every scoring process. Only three node types are known, so a file can only ever hold arrays and text.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tingchao.models.scores import ModelError

Array = npt.NDArray[Any]

FORMAT = 2  # raise it when a program could misread a file of another version; 2: denied words have hashes of their own
FILE = "tingchao.skops"
LARGEST = 64 << 20  # bytes unpacked; ours has 12 MB
_SHIPPED = Path(__file__).parent
_AGAIN = "get it again with `git checkout -- models/` or by reinstalling, or build it with `tingchao train ../shared`"
_ANOTHER = "go back to another version with `tingchao models rollback`, or train again with `tingchao train --feedback`"


def digest(arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> str:
    """SHA-256 over the arrays in order of their names and the settings; skops files themselves vary."""
    total = hashlib.sha256(json.dumps(settings, sort_keys=True, ensure_ascii=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def packed(arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What skops stores: the arrays, the settings as JSON, the format and the hash over all."""
    return {
        "format": str(FORMAT),
        "sha256": digest(arrays, settings),
        "settings": json.dumps(settings, sort_keys=True),
        **{f"array {name}": array for name, array in arrays.items()},
    }


def _node(node: Mapping[str, Any], archive: zipfile.ZipFile) -> Any:
    """One value of a skops schema, of the three kinds that we write."""
    kind = (node["__module__"], node["__class__"], node["__loader__"])
    if kind == ("builtins", "str", "JsonNode"):
        return str(json.loads(node["content"]))
    if kind == ("numpy", "ndarray", "NdArrayNode"):
        return np.load(io.BytesIO(archive.read(node["file"])), allow_pickle=False)
    raise ModelError(f"unknown type {kind}")


def _read(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST:
            raise ModelError(f"{size} bytes unpacked, expected at most {LARGEST}")
        schema = json.loads(archive.read("schema.json"))
        if schema["__loader__"] != "DictNode":
            raise ModelError(f"a {schema['__class__']}, expected a dict")
        return {name: _node(node, archive) for name, node in schema["content"].items()}


def _checked(found: dict[str, Any]) -> tuple[dict[str, Array], dict[str, Any], str]:
    """The parts of a file's content, after its format and hash were checked."""
    version, expected = found.pop("format"), found.pop("sha256")
    if version != str(FORMAT):
        raise ModelError(f"format {version}, this program reads {FORMAT}")
    settings: dict[str, Any] = json.loads(found.pop("settings"))
    arrays = {name.removeprefix("array "): value for name, value in found.items()}
    got = digest(arrays, settings)
    if got != expected:
        raise ModelError(f"its hash is {got[:12]}, the file says {expected[:12]}: it was changed")
    return arrays, settings, got


def advice(path: Path) -> str:
    """How to get a model that can be used in place of the one at `path`."""
    return _AGAIN if path.parent.resolve() == _SHIPPED else _ANOTHER


def read_model(path: Path) -> tuple[dict[str, Array], dict[str, Any], str]:
    """Arrays, settings and hash of a model file; ModelError if it is missing, damaged, changed or of another format."""
    try:
        return _checked(_read(path))
    except ModelError as err:
        raise ModelError(f"model file {path}: {err}; {advice(path)}") from err
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        NotImplementedError,
        RecursionError,
    ) as err:
        raise ModelError(f"model file {path} cannot be read ({type(err).__name__}: {err}); {advice(path)}") from err
