"""Reads stores with zarr-python and with TensorStore and compares every value.

usage: read_store.py MANIFEST

MANIFEST holds one JSON object a line:
  name, path        the store (a folder), and optionally "node", the array's path in it
  s3                instead of path: endpoint, region, bucket, prefix; credentials are in the environment
  dtype, shape      what the array must be
  expectedFile      its elements, little-endian, C order
  fillHex           one element of the fill value, little-endian, as hex; optional
  dimensionNames    optional
"skipReaders" may map "zarr" or "tensorstore" to the reason why that reader is known not to read this store.

Prints one line a failure, and at the end "N passed, N failed, N skipped". Exit code 1 if anything failed
or nothing passed.
"""

import json
import sys
import traceback

import numpy as np
import tensorstore as ts
import zarr


def expected_of(case):
    dtype = np.dtype(case["dtype"]).newbyteorder("<")
    data = np.fromfile(case["expectedFile"], dtype=np.uint8)
    count = int(np.prod(case["shape"], dtype=np.int64)) * dtype.itemsize
    if data.size != count:
        raise ValueError(f"expected file has {data.size} bytes, the shape {count}")
    return data.reshape(tuple(case["shape"]) + (dtype.itemsize,))


def as_bytes(array, dtype):
    """Elements as bytes in one more dimension: NaNs compare by their bits."""
    little = np.ascontiguousarray(np.asarray(array), dtype=None)
    if little.dtype.byteorder == ">":
        little = little.astype(little.dtype.newbyteorder("<"))
    if little.dtype.itemsize != dtype.itemsize or little.dtype.kind != dtype.kind:
        raise ValueError(f"data type {little.dtype}, expected {dtype}")
    return little.reshape(little.shape + (1,)).view(np.uint8).reshape(little.shape + (dtype.itemsize,))


def compare(case, shape, names, data, fill):
    dtype = np.dtype(case["dtype"])
    if list(shape) != case["shape"]:
        raise ValueError(f"shape {list(shape)}, expected {case['shape']}")
    wanted_names = case.get("dimensionNames")
    if wanted_names is not None and list(names) != wanted_names:
        raise ValueError(f"dimension names {list(names)}, expected {wanted_names}")
    expected = expected_of(case)
    actual = as_bytes(data, dtype)
    if actual.shape != expected.shape:
        raise ValueError(f"data of shape {actual.shape[:-1]}, expected {expected.shape[:-1]}")
    wrong = np.any(actual != expected, axis=-1)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{int(wrong.sum())} of {wrong.size} elements differ, first at {where}: "
            f"{actual[where].tobytes().hex()}, expected {expected[where].tobytes().hex()}"
        )
    if case.get("fillHex") is not None:
        got = np.asarray(fill, dtype=dtype).reshape(()).tobytes().hex()
        if got != case["fillHex"]:
            raise ValueError(f"fill value {got}, expected {case['fillHex']}")


def zarr_store(case):
    if "s3" not in case:
        return case["path"]
    place = case["s3"]
    options = {"endpoint_url": place["endpoint"], "client_kwargs": {"region_name": place["region"]}}
    return zarr.storage.FsspecStore.from_url(
        f"s3://{place['bucket']}/{place['prefix']}", storage_options=options, read_only=True
    )


def read_zarr(case):
    array = zarr.open_array(store=zarr_store(case), path=case.get("node", ""), mode="r")
    names = array.metadata.dimension_names or []
    compare(case, array.shape, names, array[...], array.fill_value)


def tensorstore_kvstore(case):
    node = "/" + case["node"] if case.get("node") else ""
    if "s3" not in case:
        return {"driver": "file", "path": case["path"] + node + "/"}
    place = case["s3"]
    return {
        "driver": "s3",
        "endpoint": place["endpoint"],
        "aws_region": place["region"],
        "aws_credentials": {"type": "environment"},
        "bucket": place["bucket"],
        "path": place["prefix"] + node + "/",
    }


def read_tensorstore(case):
    spec = {"driver": "zarr3", "kvstore": tensorstore_kvstore(case)}
    # No context cache: every byte comes from the files.
    array = ts.open(spec, open=True, read=True, context=ts.Context({"cache_pool": {"total_bytes_limit": 0}})).result()
    fill = array.fill_value
    if fill is None:
        fill = np.zeros((), dtype=case["dtype"])
    compare(case, array.shape, array.domain.labels, array.read().result(), fill)


READERS = {"zarr": read_zarr, "tensorstore": read_tensorstore}


def main():
    passed = failed = skipped = 0
    with open(sys.argv[1], encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines if line.strip()]
    for case in cases:
        for reader, read in READERS.items():
            reason = case.get("skipReaders", {}).get(reader)
            if reason is not None:
                print(f"skipped {case['name']} by {reader}: {reason}")
                skipped += 1
                continue
            try:
                read(case)
                passed += 1
            except Exception as error:  # every failure of a reader is a result
                failed += 1
                print(f"FAILED {case['name']} by {reader}: {type(error).__name__}: {error}")
                if "-v" in sys.argv:
                    traceback.print_exc()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)


main()
