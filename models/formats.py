"""Number formats and the safetensors container, with numpy and nothing else.

Everything here is exact and the same on every machine: bf16 and e4m3fn by
integer arithmetic, random numbers from the raw words of PCG64 (numpy promises
the raw stream, not the distributions built on it).
"""

import json
import os

import numpy as np

BLOCK = 128  # extent of an FP8 scale block and of an activation group


# ---------------------------------------------------------------- bf16

def to_bf16(values):
    """Returns the uint16 codes of `values`, rounded to nearest even.

    The values go through float32; they must be finite.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(codes):
    """Returns the float32 values of uint16 `codes`."""
    return (codes.astype(np.uint32) << 16).view(np.float32)


def round_bf16(values):
    """Returns `values` rounded to bf16, in the dtype they came in."""
    return from_bf16(to_bf16(values)).astype(np.asarray(values).dtype)


# ---------------------------------------------------------------- e4m3fn

def _e4m3_table():
    table = np.empty(256, np.float32)
    for code in range(256):
        exponent, mantissa = (code >> 3) & 15, code & 7
        if exponent:
            value = (1 + mantissa / 8) * 2.0 ** (exponent - 7)
        else:
            value = mantissa / 8 * 2.0**-6
        if code & 0x7F == 0x7F:
            value = np.nan
        table[code] = -value if code & 0x80 else value
    return table


E4M3 = _e4m3_table()  # value of each of the 256 codes


def to_e4m3(values):
    """Returns the uint8 codes of float32 `values`: nearest even, saturating.

    Magnitudes above 448 become 448; NaN becomes 0x7f.
    """
    values = np.asarray(values, np.float32)
    magnitude = np.minimum(np.abs(values), np.float32(448))
    # One step of the grid at each magnitude: 2^(e-3), with e no less than -6.
    _, exponent = np.frexp(magnitude)
    exponent = np.maximum(exponent - 1, -6)
    steps = np.rint(np.ldexp(magnitude, 3 - exponent)).astype(np.int32)
    carry = steps == 16
    exponent = exponent + carry
    steps = np.where(carry, 8, steps)
    code = np.where(steps < 8, steps, ((exponent + 7) << 3) + steps - 8)
    code = np.where(np.isnan(values), 0x7F, code)
    return (code | np.where(np.signbit(values), 0x80, 0)).astype(np.uint8)


def ue8m0_ceil(scales):
    """Returns float32 `scales` rounded up to a power of two, from their bits.

    Infinity and NaN stay.
    """
    bits = np.ascontiguousarray(scales, np.float32).view(np.uint32)
    exponent = (bits >> 23) + ((bits & 0x7FFFFF) != 0)
    exponent = np.clip(exponent, 1, 254).astype(np.uint32)
    power = (exponent << 23).view(np.float32)
    return np.where(np.isfinite(scales), power, scales).astype(np.float32)


def quantize_blocks(weight, ue8m0=False):
    """Quantises a weight [o, i] by 128x128 blocks.

    Returns (codes uint8 [o, i], scales float32 [ceil(o/128), ceil(i/128)]);
    a weight is code * scale. Blocks at the edges cover fewer elements.
    """
    rows, cols = weight.shape
    grid = (-(-rows // BLOCK), -(-cols // BLOCK))
    scales = np.empty(grid, np.float32)
    codes = np.empty((rows, cols), np.uint8)
    weight = np.asarray(weight, np.float32)
    for r in range(grid[0]):
        for c in range(grid[1]):
            part = np.s_[r * BLOCK : (r + 1) * BLOCK, c * BLOCK : (c + 1) * BLOCK]
            amax = np.maximum(np.abs(weight[part]).max(), np.float32(1e-12))
            scale = np.float32(amax) / np.float32(448)
            scales[r, c] = ue8m0_ceil(scale[None])[0] if ue8m0 else scale
            codes[part] = to_e4m3(weight[part] / scales[r, c])
    return codes, scales


def dequantize_blocks(codes, scales, dtype=np.float64):
    """Returns code * scale [o, i]; exact in float64, one rounding in float32."""
    rows, cols = codes.shape
    wide = np.repeat(np.repeat(scales, BLOCK, 0)[:rows], BLOCK, 1)[:, :cols]
    return E4M3[codes].astype(dtype) * wide.astype(dtype)


# ---------------------------------------------------------------- int4

GROUP = 32  # columns of a row that share a scale


def quantize_groups(weight):
    """Quantises a weight [o, i] to codes of four bits, symmetric, in groups of 32.

    Returns (codes uint8 [o, i] of 0 to 15, scales uint16 [o, i/32]: bf16); a weight
    is (code - 8) * scale.
    """
    rows, cols = weight.shape
    groups = np.asarray(weight, np.float32).reshape(rows, cols // GROUP, GROUP)
    scales = to_bf16(np.maximum(np.abs(groups).max(-1), 1e-12) / np.float32(7.5))
    steps = np.rint(groups / from_bf16(scales)[..., None])
    codes = (np.clip(steps, -8, 7) + 8).astype(np.uint8)
    return codes.reshape(rows, cols), scales


def pack_words(codes):
    """Returns int32 [o, i/8] of uint8 codes [o, i]: element j of a row is bits
    4 (j mod 8) and on of word j / 8."""
    rows, cols = codes.shape
    nibbles = codes.reshape(rows, cols // 8, 8).astype(np.uint32)
    shifted = nibbles << (4 * np.arange(8, dtype=np.uint32))
    return np.bitwise_or.reduce(shifted, -1).view(np.int32)


def dequantize_words(words, scales):
    """Returns float32 [o, i]: (code - 8) * scale, rounded once to bf16."""
    rows, width = words.shape
    shifted = words.view(np.uint32)[..., None] >> (4 * np.arange(8, dtype=np.uint32))
    steps = (shifted & 15).astype(np.float64).reshape(rows, width * 8) - 8
    # Exact in float64, and in float32 too: 4 bits by 8.
    return round_bf16(steps * np.repeat(from_bf16(scales), GROUP, 1)).astype(np.float32)


def quantize_activations(x, ue8m0=False):
    """Quantises x [.., K] per row and group of 128 (a last one may be short).

    Returns (codes uint8 [.., K], scales float32 [.., ceil(K/128)]):
    scale = max(amax, 1e-4) / 448, rounded up to a power of two for ue8m0;
    code = e4m3(x / scale). All of it in float32.
    """
    x = np.asarray(x, np.float32)
    width = x.shape[-1]
    groups = -(-width // BLOCK)
    padded = np.zeros(x.shape[:-1] + (groups * BLOCK,), np.float32)
    padded[..., :width] = x
    padded = padded.reshape(x.shape[:-1] + (groups, BLOCK))
    amax = np.maximum(np.abs(padded).max(-1), np.float32(1e-4))
    scales = amax / np.float32(448)
    if ue8m0:
        scales = ue8m0_ceil(scales)
    codes = to_e4m3(padded / scales[..., None])
    return codes.reshape(x.shape[:-1] + (groups * BLOCK,))[..., :width], scales


# ---------------------------------------------------------------- random

class Random:
    """A stream of random numbers that is the same everywhere, for ever."""

    def __init__(self, seed):
        self.bits = np.random.PCG64(seed)

    def words(self, count):
        """Returns `count` uint64 words."""
        return self.bits.random_raw(count)

    def uniform(self, shape, low=0.0, high=1.0):
        """Returns float64 values in [low, high)."""
        count = int(np.prod(shape))
        unit = (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return (low + (high - low) * unit).reshape(shape)

    def normal(self, shape, std=1.0):
        """Returns float64 values, near normal: sums of four 16-bit uniforms.

        Their tails end at 3.5 standard deviations.
        """
        count = int(np.prod(shape))
        parts = self.words(count).view(np.uint16).reshape(count, 4)
        total = parts.astype(np.int64).sum(1) - 131070
        return (total * (std / 37837.4)).reshape(shape)

    def integers(self, count, low, high):
        """Returns `count` integers in [low, high), as a list."""
        span = np.uint64(high - low)
        return [low + int(w % span) for w in self.words(count)]


# ---------------------------------------------------------------- safetensors

_DTYPES = {
    "F32": (np.float32, 4),
    "BF16": (np.uint16, 2),
    "F8_E4M3": (np.uint8, 1),
    "I32": (np.int32, 4),
    "I64": (np.int64, 8),
}


def write_safetensors(path, tensors):
    """Writes {name: (dtype, array)}; dtype is F32, BF16, F8_E4M3, I32 or I64.

    BF16 and F8_E4M3 arrays hold codes (uint16, uint8). The bytes depend on the
    tensors and their order alone.
    """
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, array) in tensors.items():
        want, size = _DTYPES[dtype]
        if array.dtype != want:
            raise TypeError(f"{name}: {dtype} is stored as {want}, got {array.dtype}")
        end = offset + array.size * size
        header[name] = dict(
            dtype=dtype, shape=list(array.shape), data_offsets=[offset, end])
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    temporary = path + ".tmp"
    with open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for dtype, array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())
    os.replace(temporary, path)


def read_safetensors(path):
    """Returns {name: (dtype, array)} as write_safetensors takes it."""
    with open(path, "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    base, tensors = 8 + size, {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        array = np.frombuffer(data[base + begin : base + end], _DTYPES[entry["dtype"]][0])
        tensors[name] = (entry["dtype"], array.reshape(entry["shape"]))
    return tensors


def read_checkpoint(directory):
    """Returns (config, tensors) of a directory with one model.safetensors."""
    with open(os.path.join(directory, "config.json")) as file:
        config = json.load(file)
    return config, read_safetensors(os.path.join(directory, "model.safetensors"))
