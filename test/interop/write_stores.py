"""Writes stores with zarr-python and TensorStore for Millrace to read: write_stores.py FOLDER.

Puts FOLDER/manifest.jsonl beside them, in the format of read_store.py, with "unsupported": true where Millrace must
refuse the store.
"""

import itertools
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import tensorstore as ts
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec

folder = Path(sys.argv[1]).resolve()
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
manifest = []

SHAPE = (11, 37, 50)
CHUNK = (2, 20, 25)
SHARD = (4, 40, 50)


def values(dtype, shape=SHAPE):
    """Images in a way: smooth with noise, and different everywhere."""
    rng = np.random.default_rng(1)
    index = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    noise = rng.integers(0, 50, size=shape)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (np.sin(index / 1000) * 100 + noise / 7).astype(dtype)
    return (index // 13 + noise).astype(dtype)


def add(name, path, data, fill, unsupported=False, node=None):
    little = np.ascontiguousarray(data).astype(data.dtype.newbyteorder("<"))
    expected = folder / f"{name}.raw"
    little.tofile(expected)
    case = {
        "name": name,
        "path": str(path),
        "dtype": data.dtype.name,
        "shape": list(data.shape),
        "expectedFile": str(expected),
        "fillHex": np.asarray(fill, dtype=data.dtype).tobytes().hex(),
        "unsupported": unsupported,
    }
    if node:
        case["node"] = node
    manifest.append(case)


def with_zarr(name, dtype, *, shards=SHARD, fill=0, unsupported=False, node=None, **options):
    path = folder / f"{name}.zarr"
    data = values(dtype)
    if node:
        zarr.create_group(str(path), zarr_format=3, attributes={"made": "here"})
    array = zarr.create_array(
        store=str(path),
        name=node,
        shape=SHAPE,
        chunks=CHUNK,
        shards=shards,
        dtype=dtype,
        fill_value=fill,
        zarr_format=3,
        **options,
    )
    # A slab stays empty: whole chunks of it are absent.
    array[:6] = data[:6]
    array[10:] = data[10:]
    data[6:10] = fill
    add(name, path, data, fill, unsupported, node)


for cname, shuffle in itertools.product(("zstd", "lz4", "lz4hc", "zlib"), ("noshuffle", "shuffle", "bitshuffle")):
    for dtype in ("uint8", "uint16", "float64"):
        codec = BloscCodec(cname=cname, clevel=5, shuffle=shuffle, typesize=np.dtype(dtype).itemsize)
        with_zarr(f"blosc-{cname}-{shuffle}-{dtype}", dtype, compressors=codec)
with_zarr("blosc-blocks", "uint32", compressors=BloscCodec(cname="zstd", shuffle="shuffle", typesize=4, blocksize=256))
blosclz = BloscCodec(cname="blosclz", shuffle="shuffle", typesize=2)
with_zarr("blosc-blosclz", "uint16", compressors=blosclz, unsupported=True)
INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
for dtype in (*INTEGERS, "float16", "float32", "float64"):
    with_zarr(f"zstd-{dtype}", dtype, compressors=ZstdCodec(level=3))
    with_zarr(f"raw-{dtype}", dtype, compressors=None, fill=7)
with_zarr("zstd-checksum", "uint16", compressors=ZstdCodec(level=3, checksum=True))
with_zarr("gzip", "int32", compressors=GzipCodec(level=6))
with_zarr("crc32c", "uint16", compressors=[ZstdCodec(level=1), Crc32cCodec()])
with_zarr("unsharded", "uint16", shards=None, compressors=ZstdCodec(level=3))
v2_keys = {"name": "v2", "separator": "."}
with_zarr("unsharded-v2-keys", "uint16", shards=None, compressors=None, chunk_key_encoding=v2_keys)
with_zarr("nan-fill", "float32", compressors=ZstdCodec(), fill=np.nan)
with_zarr("in-group", "uint16", compressors=ZstdCodec(), node="a/b")
with_zarr("big-endian", "uint16", shards=None, compressors=None, serializer=BytesCodec(endian="big"), unsupported=True)
transposed = [TransposeCodec(order=(2, 1, 0))]
with_zarr("transposed", "uint16", shards=None, compressors=None, filters=transposed, unsupported=True)
with_zarr(
    "index-start",
    "uint16",
    shards=None,
    compressors=None,
    unsupported=False,
    serializer=ShardingCodec(chunk_shape=(1, 10, 25), codecs=[BytesCodec(), ZstdCodec()], index_location="start"),
)


def with_tensorstore(name, dtype, inner, *, index_codecs=None, index_location=None, fill=0):
    path = folder / f"{name}.zarr"
    to_bytes = {"name": "bytes", "configuration": {"endian": "little"}}
    configuration = {"chunk_shape": list(CHUNK), "codecs": [to_bytes, *inner]}
    if index_codecs:
        configuration["index_codecs"] = index_codecs
    if index_location:
        configuration["index_location"] = index_location
    array = ts.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": f"{path}/"},
            "metadata": {
                "shape": list(SHAPE),
                "data_type": dtype,
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(SHARD)}},
                "codecs": [{"name": "sharding_indexed", "configuration": configuration}],
                "fill_value": fill,
                "dimension_names": ["t", None, "x"],
            },
        },
        create=True,
    ).result()
    data = values(dtype)
    array[:6] = data[:6]
    data[6:] = fill
    add(name, path, data, fill)


LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
for dtype in ("uint8", "uint16", "float32", "int64"):
    with_tensorstore(f"ts-zstd-{dtype}", dtype, [{"name": "zstd", "configuration": {"level": 2}}])
    blosc = {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": np.dtype(dtype).itemsize, "blocksize": 0}
    with_tensorstore(f"ts-blosc-{dtype}", dtype, [{"name": "blosc", "configuration": blosc}])
with_tensorstore("ts-index-start", "uint16", [], index_location="start", index_codecs=[LITTLE, {"name": "crc32c"}])
with_tensorstore("ts-index-bare", "uint16", [{"name": "crc32c"}], index_codecs=[LITTLE])

with open(folder / "manifest.jsonl", "w", encoding="utf-8") as out:
    for case in manifest:
        out.write(json.dumps(case) + "\n")
print(f"wrote {len(manifest)} stores")
