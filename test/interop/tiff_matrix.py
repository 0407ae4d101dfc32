"""Writes TIFF files in every form that tifffile and imagecodecs know, and what each must give: tiff_matrix.py FOLDER

manifest.jsonl gets a line a file: name, dtype, dims (as of `millrace write`), and either the SHA-256 of the elements in
the order of dims, as tifffile itself reads them, or the word that the refusal must hold. tiff_matrix.js reads them.
"""
import hashlib
import itertools
import json
import pathlib
import struct
import sys

import numpy as np
import tifffile

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
manifest = []
rng = np.random.default_rng(7)


def values(shape, dtype):
    """Coordinates and noise: misplaced elements show, and LZW's table fills."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    base = np.arange(count, dtype="u8") * 2654435761 + rng.integers(0, 64, count, dtype="u8")
    if dtype.kind == "f":
        return ((base % 100003).astype("f8") / 7 - 5000).astype(dtype).reshape(shape)
    return base.astype(f"u{dtype.itemsize}").view(f"{dtype.kind}{dtype.itemsize}").reshape(shape)


def smooth(shape, dtype):
    """A ramp with a little noise: what predictors are made for."""
    dtype = np.dtype(dtype)
    y, x = np.indices(shape[-2:])
    ramp = np.broadcast_to(1000 + 3 * x + 5 * y, shape) + rng.integers(0, 3, shape)
    return ramp.astype(dtype)


def dims_of(names, shape, unbounded=True):
    sizes = [0 if unbounded and i == 0 else size for i, size in enumerate(shape)]
    return ",".join(f"{name}:{size}:1" for name, size in zip(names, sizes))


def expect(name, array, names, refused=None):
    """`array` in the order of `names`; a plane alone gets a dimension of time."""
    array = np.ascontiguousarray(array)
    line = {"file": name, "dtype": array.dtype.name, "dims": dims_of(names, array.shape)}
    if refused is None:
        little = array.astype(array.dtype.newbyteorder("<"))
        line["sha256"] = hashlib.sha256(little.tobytes()).hexdigest()
    else:
        line["refused"] = refused
    manifest.append(line)


def write(name, data, names, refused=None, order=None, packed=False, **how):
    """`order` turns what tifffile reads into what `names` asks for."""
    path = folder / name
    try:
        tifffile.imwrite(path, data, **how)
    except Exception as error:
        raise RuntimeError(f"{name}: tifffile cannot write it: {error}") from error
    if refused is not None:
        expect(name, data if order is None else data.transpose(order), names, refused)
        return
    with tifffile.TiffFile(path) as tiff:
        read = tiff.asarray(series=0) if len(tiff.series) == 1 else np.stack([s.asarray() for s in tiff.series])
    if not packed:
        np.testing.assert_array_equal(read.reshape(data.shape), data)
    read = read.reshape(data.shape)
    expect(name, read if order is None else read.transpose(order), names)


SHAPE = (3, 37, 50)
INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]
FLOATS = ["f2", "f4", "f8"]
COMPRESSIONS = [None, "lzw", "adobe_deflate", "packbits", "zstd"]
ENDS = {"<": "le", ">": "be"}
LAYOUTS = {"strip": {}, "rows7": {"rowsperstrip": 7}, "tile": {"tile": (16, 32)}}

# Element types × byte orders × compressions × predictors × layouts; BigTIFF takes turns.
turn = 0
for dtype, order, compression in itertools.product(INTEGERS + FLOATS, "<>", COMPRESSIONS):
    # tifffile writes no predictor for integers of 64 bits; the unit tests do.
    plain = compression in (None, "packbits") or dtype in ("u8", "i8")
    predictors = [False] if plain else [False, True]
    for predictor, (layout, how) in itertools.product(predictors, LAYOUTS.items()):
        turn += 1
        name = f"{dtype}-{ENDS[order]}-{compression or 'none'}-{'pn'[not predictor]}-{layout}.tif"
        data = (smooth if predictor else values)(SHAPE, dtype)
        write(name, data, "tyx", byteorder=order, compression=compression, predictor=predictor,
              photometric="minisblack", bigtiff=turn % 2 == 0, **how)

# Samples of a pixel: side by side and each for itself, with and without tiles, both orders of dims.
for dtype, order, compression, predictor, layout, planar in itertools.product(
    ["u1", "u2", "f4"], "<>", [None, "lzw", "zstd"], [False, True], ["rows7", "tile"], ["contig", "separate"]
):
    if predictor and compression is None:
        continue
    name = f"rgb-{dtype}-{ENDS[order]}-{compression or 'none'}-{'pn'[not predictor]}-{layout}-{planar}.tif"
    make = smooth if predictor else values
    how = {"byteorder": order, "compression": compression, "predictor": predictor, **LAYOUTS[layout]}
    how |= {"photometric": "rgb", "planarconfig": planar}
    if planar == "contig":
        data = make((2, 3, 21, 34), dtype).transpose(0, 2, 3, 1)
        write(name, np.ascontiguousarray(data), "tyxc", **how)
        expect(name, data.transpose(0, 3, 1, 2), "tcyx")
    else:
        data = make((2, 3, 21, 34), dtype)
        write(name, data, "tcyx", **how)
        expect(name, data.transpose(0, 2, 3, 1), "tyxc")

# More samples than colours.
for count, planar in itertools.product([2, 5], ["contig", "separate"]):
    data = values((1, 20, 33, count) if planar == "contig" else (1, count, 20, 33), "u2")
    write(f"samples{count}-{planar}.tif", data, "tyxs" if planar == "contig" else "tsyx", photometric="minisblack",
          planarconfig=planar, extrasamples=["unspecified"] * (count - 1))

# Packed samples: imagecodecs packs what tifffile is told to write with fewer bits.
for bits in [1, 2, 4, 7, 9, 10, 12, 14, 15]:
    dtype = "u1" if bits < 8 else "u2"
    data = (values(SHAPE, "u2") % 2**bits).astype(dtype)
    for compression in [None, "adobe_deflate", "lzw"]:
        if bits == 1:
            # tifffile takes single bits as booleans, which it delivers as such.
            path = folder / f"bits1-{compression or 'none'}.tif"
            tifffile.imwrite(path, data.astype(bool), photometric="minisblack", compression=compression)
            np.testing.assert_array_equal(tifffile.imread(path), data.astype(bool))
            expect(path.name, data, "tyx")
        elif compression is None:
            write(f"bits{bits}.tif", data, "tyx", bitspersample=bits, photometric="minisblack", rowsperstrip=37)

# Stacks: OME-XML, ImageJ and tifffile's own, every order of dims.
T, C, Z, Y, X = 2, 3, 4, 12, 17
full = values((T, C, Z, Y, X), "u2")
AXES = "TCZYX"


def transposed(axes):
    return np.ascontiguousarray(full.transpose([AXES.index(a) for a in axes]))


for file_axes in ["".join(p) + "YX" for p in itertools.permutations("TCZ")]:
    for kind in ["ome", "shaped", "imagej"]:
        if kind == "imagej" and file_axes != "TZCYX":
            continue
        data = transposed(file_axes)
        name = f"stack-{kind}-{file_axes}." + ("ome.tif" if kind == "ome" else "tif")
        how = {"photometric": "minisblack", "metadata": {"axes": file_axes}}
        if kind == "ome":
            how["ome"] = True
        if kind == "imagej":
            how["imagej"] = True
        tifffile.imwrite(folder / name, data, **how)
        np.testing.assert_array_equal(tifffile.imread(folder / name), data)
        for wanted in itertools.permutations("TCZ"):
            axes = "".join(wanted) + "YX"
            expect(name, full.transpose([AXES.index(a) for a in axes]), axes.lower())
        swapped = full.transpose([AXES.index(a) for a in "TZCYX"])
        # z as long as c and the other way round, under each other's names: refused.
        expect(name, swapped, "tczyx", "has another size")
        expect(name, full, "tqzyx", "no dimension is the file's c")
        # Long names.
        expect(name, full, ["time", "Channel", "DEPTH", "y", "x"])

# Colours in a stack, as a dimension behind x, before y, and before the channels' own place.
colours = values((2, 4, 12, 17, 3), "u1")
for kind in ["ome", "imagej", "shaped"]:
    name = f"colours-{kind}." + ("ome.tif" if kind == "ome" else "tif")
    how = {"ome": True} if kind == "ome" else {"imagej": True} if kind == "imagej" else {}
    tifffile.imwrite(folder / name, colours, photometric="rgb", metadata={"axes": "TZYXS"}, **how)
    np.testing.assert_array_equal(tifffile.imread(folder / name), colours)
    expect(name, colours, "tzyxs")
    expect(name, colours, "tzyxc")
    expect(name, colours.transpose(1, 0, 2, 3, 4), "ztyxc")
    expect(name, colours.transpose(0, 1, 4, 2, 3), "tzcyx")
    expect(name, colours.transpose(0, 4, 1, 2, 3), "tczyx")
    expect(name, colours.transpose(4, 0, 1, 2, 3), "stzyx")

# Shapes without names are taken in their order, and sizes that contradict it are refused.
tifffile.imwrite(folder / "unnamed.tif", full, photometric="minisblack")
expect("unnamed.tif", full, "tczyx")
expect("unnamed.tif", full.transpose(0, 2, 1, 3, 4), "tzcyx", "has another size")
expect("unnamed.tif", full.reshape(T * C * Z, Y, X), "tyx")
# A file that is a part of a row: a stack of one channel, three of which make it up.
tifffile.imwrite(folder / "part.ome.tif", full[0, 0], ome=True, photometric="minisblack", metadata={"axes": "ZYX"})
manifest.append({"file": "part.ome.tif", "dtype": "uint16", "dims": f"t:0:1,c:{C}:1,z:{Z}:1,y:{Y}:1,x:{X}:1",
                 "sha256": hashlib.sha256(np.ascontiguousarray(full[0, 0]).tobytes()).hexdigest()})
manifest.append({**manifest[-1], "dims": f"t:0:1,z:{Z}:1,c:{C}:1,y:{Y}:1,x:{X}:1", "refused": "the file has no c"})
tifffile.imwrite(folder / "film.tif", full[0, 0], imagej=True, photometric="minisblack", metadata={"axes": "ZYX"})
expect("film.tif", full[0, 0], "tyx")

# ImageJ's big stacks, tifffile's truncated ones: one directory, many planes.
for order in "<>":
    for kind, how in {"imagej": {"imagej": True}, "shaped": {"truncate": True}}.items():
        if kind == "imagej" and order == "<":
            continue
        data = values((6, 14, 19), "u2")
        name = f"single-{kind}-{ENDS[order]}.tif"
        if kind == "imagej":
            how = {**how, "truncate": True}
        write(name, data, "tyx", byteorder=order, photometric="minisblack", **how)
how = {"imagej": True, "truncate": True, "metadata": {"axes": "TZCYX"}}
tifffile.imwrite(folder / "single-order.tif", transposed("TZCYX"), **how)
expect("single-order.tif", full, "tczyx")

# Frames that are added one by one, with and without descriptions; pyramids in SubIFDs and in the main chain.
for kind, how in {"described": {}, "plain": {"metadata": None}, "contiguous": {"contiguous": True}}.items():
    data = values((5, 23, 31), "u2")
    with tifffile.TiffWriter(folder / f"appended-{kind}.tif") as tiff:
        for frame in data:
            tiff.write(frame, photometric="minisblack", **how)
    expect(f"appended-{kind}.tif", data, "tyx")
data = values((2, 64, 64), "u2")
with tifffile.TiffWriter(folder / "pyramid-sub.ome.tif", ome=True) as tiff:
    tiff.write(data, subifds=2, tile=(16, 16), photometric="minisblack", metadata={"axes": "TYX"})
    tiff.write(data[:, ::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
    tiff.write(data[:, ::4, ::4], subfiletype=1, tile=(16, 16), photometric="minisblack")
expect("pyramid-sub.ome.tif", data, "tyx")
with tifffile.TiffWriter(folder / "pyramid-main.tif") as tiff:
    tiff.write(data[0], photometric="minisblack", metadata=None)
    tiff.write(data[0, ::2, ::2], subfiletype=1, photometric="minisblack", metadata=None)
expect("pyramid-main.tif", data[:1], "tyx")

# One plane of a large tile, an edge of a single pixel, one row, one column.
# (tifffile takes a last axis of length 1 for samples.)
for shape in [(1, 1), (1, 40), (40, 2), (16, 16), (17, 33), (33, 17)]:
    for layout in ["strip", "tile"]:
        data = values(shape, "u2")[None]
        write(f"shape-{shape[0]}x{shape[1]}-{layout}.tif", data, "tyx", photometric="minisblack", compression="lzw",
              **({"tile": (16, 16)} if layout == "tile" else {}))

# LZW of long runs and of noise of every length.
for count in [1, 2, 255, 256, 257, 510, 511, 512, 1023, 1024, 3837, 3838, 3839, 3840, 4095, 4096, 5000]:
    write(f"lzw-run-{count}.tif", np.full((1, 1, count), 7, "u1"), "tyx", photometric="minisblack", compression="lzw")
    write(f"lzw-noise-{count}.tif", values((1, 1, count), "u1"), "tyx", photometric="minisblack", compression="lzw")

# Refused, each with the word that says why.
grey = smooth((1, 32, 48), "u1")
for compression, word in {
    "jpeg": "JPEG", "jpeg2000": "JPEG 2000", "jpegxl": "JPEG XL", "jpegxr": "JPEG XR", "webp": "WebP", "lerc": "LERC",
    "lzma": "LZMA", "png": "PNG",
}.items():
    data = np.repeat(grey[..., None], 3, axis=-1) if compression in ("webp", "jpegxr") else grey
    rgb = data.ndim == 4
    write(f"refused-{compression}.tif", data, "tyxc" if rgb else "tyx", refused=word, compression=compression,
          photometric="rgb" if rgb else "minisblack")
write("refused-miniswhite.tif", grey, "tyx", refused="WhiteIsZero", photometric="miniswhite")
write("refused-palette.tif", grey, "tyx", refused="palette", photometric="palette", colormap=np.zeros((3, 256), "u2"))
tifffile.imwrite(folder / "refused-complex.tif", np.zeros((1, 8, 8), "c8"), photometric="minisblack")
expect("refused-complex.tif", np.zeros((1, 8, 8), "f4"), "tyx", "SampleFormat 6")
write("refused-alpha.tif", np.zeros((1, 8, 8, 4), "u1"), "tyxc", refused="alpha", photometric="rgb",
      extrasamples=["assocalpha"])
write("refused-orientation.tif", grey, "tyx", refused="Orientation", photometric="minisblack",
      extratags=[(274, 3, 1, 6, True)])
write("refused-volume.tif", values((4, 16, 16), "u2"), "zyx", refused="ImageDepth", photometric="minisblack",
      volumetric=True, tile=(4, 16, 16))
write("refused-dtype.tif", grey, "tyx", refused="--dtype", photometric="minisblack")
manifest[-1]["dtype"] = "uint16"
write("refused-size.tif", grey, "tyx", refused="--dims", photometric="minisblack")
manifest[-1]["dims"] = "t:0:1,y:48:1,x:32:1"
# OME-XML of a set of files names planes elsewhere.
ome = tifffile.OmeXml()
tifffile.imwrite(folder / "set.ome.tif", full[0], ome=True, photometric="minisblack", metadata={"axes": "CZYX"})
text = tifffile.TiffFile(folder / "set.ome.tif").pages[0].description
other = text.replace('PlaneCount="12"/>', 'PlaneCount="12"><UUID FileName="b.ome.tif">urn:uuid:0</UUID></TiffData>')
how = {"photometric": "minisblack", "metadata": None, "description": other}
tifffile.imwrite(folder / "refused-set.ome.tif", full[0].reshape(12, Y, X), **how)
expect("refused-set.ome.tif", full[0], "czyx", "another file, b.ome.tif")

# Cut and damaged: never a hang, never other values in silence.
whole = (folder / "u2-le-lzw-n-rows7.tif").read_bytes()
for cut in [0, 3, 7, 9, len(whole) // 2, len(whole) - 1]:
    (folder / f"cut-{cut}.tif").write_bytes(whole[:cut])
    word = "no TIFF file" if cut < 4 else ""
    manifest.append({"file": f"cut-{cut}.tif", "dtype": "uint16", "dims": dims_of("tyx", SHAPE), "refused": word})
loop = bytearray((folder / "shape-16x16-strip.tif").read_bytes())
ifd = struct.unpack_from("<I", loop, 4)[0]
struct.pack_into("<I", loop, ifd + 2 + 12 * struct.unpack_from("<H", loop, ifd)[0], ifd)
(folder / "loop.tif").write_bytes(loop)
manifest.append({"file": "loop.tif", "dtype": "uint16", "dims": "t:0:1,y:16:1,x:16:1", "refused": "circle"})

(folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in manifest))
print(f"{len({line['file'] for line in manifest})} files, {len(manifest)} expectations")
