"""One stream through one other writer, in a process of its own. Called by run.js; prints one JSON object.

The clock runs from before the store is made until it is closed and, in durable mode, every file of it is synced.
Input is read into memory before that. Frames come in a ring, again and again, as from a camera.
"""

import argparse
import json
import os
import resource
import sys
import time

import numpy as np


def rss_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fsync_tree(root: str) -> None:
    """What a writer without an option for it leaves to its caller."""
    for folder, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def shard_blocks(job, frames):
    """Whole shard rows, contiguous in the ring: what a writer of arrays is fastest with."""
    step = job["shard"][0]
    for row in range(0, job["rows"], step):
        start = row % len(frames)
        yield row, frames[start : start + step]


def run_acquire(job, frames):
    import acquire_zarr as aq

    dimensions = [
        aq.Dimension(
            name=name,
            kind=aq.DimensionType.TIME if i == 0 else aq.DimensionType.SPACE,
            array_size_px=0 if i == 0 else size,
            chunk_size_px=chunk,
            shard_size_chunks=shard // chunk,
        )
        for i, (name, size, chunk, shard) in enumerate(
            zip("tyx", job["shape"], job["chunk"], job["shard"], strict=True)
        )
    ]
    compression = {
        "zstd": lambda: aq.CompressionSettings(
            compressor=aq.Compressor.ZSTD, codec=aq.CompressionCodec.ZSTD, level=1, shuffle=0
        ),
        "blosc": lambda: aq.CompressionSettings(
            compressor=aq.Compressor.BLOSC1, codec=aq.CompressionCodec.BLOSC_ZSTD, level=1, shuffle=1
        ),
    }[job["codec"]]()
    array = aq.ArraySettings(
        output_key="0", data_type=aq.DataType.UINT16, dimensions=dimensions, compression=compression
    )
    settings = aq.StreamSettings(store_path=job["store"], version=aq.ZarrVersion.V3, overwrite=True, arrays=[array])
    stream = aq.ZarrStream(settings)
    for row in range(job["rows"]):
        stream.append(frames[row % len(frames)])
    stream.close()
    if job["durable"]:
        fsync_tree(job["store"])


def run_tensorstore(job, frames):
    import tensorstore as ts

    codec = {
        "zstd": {"name": "zstd", "configuration": {"level": 1}},
        "blosc": {
            "name": "blosc",
            "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "shuffle", "typesize": 2, "blocksize": 0},
        },
    }[job["codec"]]
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": job["store"]},
        "context": {"file_io_sync": job["durable"]},
        "metadata": {
            "shape": [job["rows"], *job["shape"][1:]],
            "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": job["shard"]}},
            "codecs": [
                {
                    "name": "sharding_indexed",
                    "configuration": {
                        "chunk_shape": job["chunk"],
                        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, codec],
                        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                    },
                }
            ],
        },
    }
    array = ts.open(spec, create=True, delete_existing=True).result()
    # Two shard rows under way: one is encoded while the other is written.
    pending = []
    for row, block in shard_blocks(job, frames):
        if len(pending) == 2:
            pending.pop(0).result()
        pending.append(array[row : row + len(block)].write(block))
    for write in pending:
        write.result()


def run_zarr(job, frames):
    import zarr
    from zarr.codecs import BloscCodec, ZstdCodec

    compressor = {
        "zstd": lambda: ZstdCodec(level=1),
        "blosc": lambda: BloscCodec(cname="zstd", clevel=1, shuffle="shuffle", typesize=2),
    }[job["codec"]]()
    array = zarr.create_array(
        store=job["store"],
        shape=(job["rows"], *job["shape"][1:]),
        chunks=tuple(job["chunk"]),
        shards=tuple(job["shard"]),
        dtype="uint16",
        compressors=[compressor],
        overwrite=True,
    )
    for row, block in shard_blocks(job, frames):
        array[row : row + len(block)] = block
    if job["durable"]:
        fsync_tree(job["store"])


PEERS = {"acquire-zarr": run_acquire, "tensorstore": run_tensorstore, "zarr-python": run_zarr}


def stored_bytes(root: str) -> int:
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(root) for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--job", type=json.loads, required=True, help="JSON, as run.js makes it")
    args = parser.parse_args()
    job = args.job
    frames = np.fromfile(job["frames"], dtype="<u2").reshape(-1, *job["shape"][1:])
    __import__({"acquire-zarr": "acquire_zarr", "zarr-python": "zarr"}.get(args.peer, args.peer))
    baseline = rss_bytes()
    cpu_from = time.process_time()
    start = time.perf_counter()
    PEERS[args.peer](job, frames)
    seconds = time.perf_counter() - start
    json.dump(
        {
            "seconds": seconds,
            "cpuSeconds": time.process_time() - cpu_from,
            "bytesStored": stored_bytes(job["store"]),
            "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "baselineRssBytes": baseline,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
