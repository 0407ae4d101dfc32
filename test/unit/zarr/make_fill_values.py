"""Writes fill_values.json: fill values and their elements as NumPy has them. Needs NumPy; the test needs the JSON only.

Rows are [dtype, value as JSON text or name, little-endian bytes as hex, shortest digits or null]. The shortest digits
of a float are those of NumPy's own printer, in scientific notation.
"""

import json
import pathlib
import random

import numpy as np

random.seed(20)
rows = []
for name in ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]:
    info = np.iinfo(name)
    values = {int(info.min), int(info.min) + 1, 0, 1, 42, int(info.max) - 1, int(info.max)}
    if info.bits == 64:
        values |= {2**53 - 1, 2**53 + 1, 2**62 + 1}
    for value in sorted(values):
        rows.append([name, str(value), np.array([value], "<" + np.dtype(name).str[1:]).tobytes().hex(), None])

for name in ["float16", "float32", "float64"]:
    dtype = np.dtype(name).newbyteorder("<")
    width = dtype.itemsize
    info = np.finfo(name)
    bits = [random.getrandbits(8 * width) for _ in range(120)]
    special = [0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 100.0, 65504.0, 1e-7, 5.9e-8]
    special += [info.max, info.tiny, info.smallest_subnormal]
    drawn = b"".join(b.to_bytes(width, "little") for b in bits)
    values = list(np.array(special, dtype)) + list(np.frombuffer(drawn, dtype))
    for value in values:
        if not np.isfinite(value):
            continue
        digits = np.format_float_scientific(value, unique=True, trim="-")
        rows.append([name, repr(float(value)), np.array([value], dtype).tobytes().hex(), digits])
    for text, value in [("NaN", np.nan), ("Infinity", np.inf), ("-Infinity", -np.inf)]:
        rows.append([name, text, np.array([value], dtype).tobytes().hex(), None])

out = pathlib.Path(__file__).with_name("fill_values.json")
out.write_text("[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]\n")
print(len(rows), "rows")
