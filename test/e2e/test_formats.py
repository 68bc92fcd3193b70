"""Tests models/formats.py on the golden values of the number formats."""

import os
import tempfile
import unittest

import make_configs
import numpy as np

formats = make_configs.formats


class Formats(unittest.TestCase):
    def test_e4m3_encodings(self):
        pairs = [
            (0.0, 0x00), (-0.0, 0x80), (1.0, 0x38), (-1.0, 0xB8), (448.0, 0x7E),
            (240.0, 0x77), (2.0**-9, 0x01), (2.0**-10, 0x00), (1.5 * 2.0**-10, 0x01),
            (17.0, 0x58), (18.0, 0x59), (19.0, 0x5A), (20.0, 0x5A), (21.0, 0x5A),
            (0.3, 0x2A), (3.14159265, 0x45)]
        for value, code in pairs:
            self.assertEqual(int(formats.to_e4m3(np.float32(value))), code, value)

    def test_e4m3_saturates(self):
        for value in (449.0, 464.0, 464.1, 1e9, 3e38):
            self.assertEqual(int(formats.to_e4m3(np.float32(value))), 0x7E)
            self.assertEqual(int(formats.to_e4m3(np.float32(-value))), 0xFE)

    def test_e4m3_codes_round_trip(self):
        codes = np.array([c for c in range(256) if c & 0x7F != 0x7F], np.uint8)
        self.assertTrue((formats.to_e4m3(formats.E4M3[codes]) == codes).all())

    def test_e4m3_rounds_to_the_nearest_even(self):
        values = formats.E4M3[:127].astype(np.float64)
        middle = ((values[:-1] + values[1:]) / 2).astype(np.float32)
        got = formats.to_e4m3(middle)
        self.assertTrue((got % 2 == 0).all())
        above = formats.to_e4m3(np.nextafter(middle, np.float32(1e9)))
        below = formats.to_e4m3(np.nextafter(middle, np.float32(0)))
        self.assertTrue((above == np.arange(1, 127)).all())
        self.assertTrue((below == np.arange(126)).all())

    def test_bf16_rounds_to_the_nearest_even(self):
        one = 1 + 2.0**-7
        values = np.float32([1 + 2.0**-8, one + 2.0**-8, 1 + 2.0**-8 + 2.0**-20, -1.5])
        self.assertEqual(
            formats.round_bf16(values).tolist(), [1.0, 1 + 2.0**-6, one, -1.5])

    def test_ue8m0_from_the_bits(self):
        amax = np.float32([3.5, 7, 7.0001, 448, 449, 1e-4])
        self.assertEqual(
            formats.ue8m0_ceil(amax / np.float32(448)).tolist(),
            [2.0**-7, 2.0**-6, 2.0**-5, 1.0, 2.0, 2.0**-22])

    def test_activation_group(self):
        x = (np.arange(128) - 64) / 16
        at = [0, 1, 2, 63, 64, 65, 100, 127]
        codes, scales = formats.quantize_activations(x)
        self.assertAlmostEqual(float(scales[0]), 0.00892857183, places=11)
        self.assertEqual(
            codes[at].tolist(), [0xFE, 0xFE, 0xFE, 0xCE, 0, 0x4E, 0x78, 0x7E])
        codes, scales = formats.quantize_activations(x, ue8m0=True)
        self.assertEqual(float(scales[0]), 2.0**-6)
        self.assertEqual(
            codes[at].tolist(), [0xF8, 0xF8, 0xF8, 0xC8, 0, 0x48, 0x71, 0x78])

    def test_zero_group_is_zero(self):
        codes, scales = formats.quantize_activations(np.zeros((2, 200)))
        self.assertEqual(codes.shape, (2, 200))
        self.assertEqual(scales.shape, (2, 2))
        self.assertTrue((codes == 0).all() and np.isfinite(scales).all())

    def test_ragged_blocks(self):
        weight = formats.Random(1).normal((200, 130), 3.0)
        codes, scales = formats.quantize_blocks(weight)
        self.assertEqual(scales.shape, (2, 2))
        again = formats.dequantize_blocks(codes, scales)
        self.assertLess(np.abs(again - weight).max() / np.abs(weight).max(), 0.04)
        # Each block reaches its own largest code.
        for r in (0, 1):
            for c in (0, 1):
                part = codes[r * 128 : r * 128 + 128, c * 128 : c * 128 + 128]
                self.assertEqual(int((part & 0x7F).max()), 0x7E)

    def test_safetensors_round_trip(self):
        tensors = {
            "a": ("F32", np.float32([[1, 2], [3, 4]])),
            "b": ("BF16", formats.to_bf16(np.arange(5))),
            "c": ("F8_E4M3", np.arange(6, dtype=np.uint8).reshape(2, 3))}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.safetensors")
            formats.write_safetensors(path, tensors)
            again = formats.read_safetensors(path)
        self.assertEqual(list(again), list(tensors))
        for name, (dtype, array) in tensors.items():
            self.assertEqual(again[name][0], dtype)
            self.assertTrue(np.array_equal(again[name][1], array))

    def test_checkpoints_are_the_ones_of_the_golden_files(self):
        # A generator whose stream changed would make every golden file wrong.
        import hashlib

        digest = hashlib.sha256()
        for dtype, array in make_configs.make_tensors("v3-odd-fp8").values():
            digest.update(dtype.encode() + np.ascontiguousarray(array).tobytes())
        self.assertEqual(digest.hexdigest()[:16], "34e4487c5f39d342")


if __name__ == "__main__":
    unittest.main()
