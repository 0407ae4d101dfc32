"""Encodes chunks with libblosc on request; the other side of contenders.js. One JSON object a line, in and out."""

import json
import sys
import time


def say(answer):
    print(json.dumps(answer), flush=True)


try:
    import numcodecs
    import numpy as np
except ImportError as error:
    say({"error": f"{error}"})
    sys.exit(0)

numcodecs.blosc.set_nthreads(1)
numcodecs.blosc.use_threads = False
libblosc = numcodecs.blosc.VERSION_STRING
libblosc = libblosc.decode() if isinstance(libblosc, bytes) else libblosc
say({"version": f"numcodecs {numcodecs.__version__}, libblosc {libblosc}"})

loaded = {}
for line in sys.stdin:
    question = json.loads(line)
    try:
        if "load" in question:
            data = np.fromfile(question["path"], dtype=np.uint8)
            ends = np.cumsum(question["sizes"])
            kind = f"u{question['itemBytes']}"
            chunks = [data[end - size : end].view(kind) for end, size in zip(ends, question["sizes"])]
            codec = numcodecs.Blosc(
                cname=question["cname"], clevel=question["clevel"], shuffle=numcodecs.Blosc.SHUFFLE
            )
            for chunk in chunks:
                if bytes(codec.decode(codec.encode(chunk))) != chunk.tobytes():
                    raise ValueError("libblosc lost data")
            loaded[question["load"]] = (codec, chunks)
            say({"loaded": len(chunks)})
        else:
            codec, chunks = loaded[question["run"]]
            passes, seconds, start = 0, 0.0, time.perf_counter()
            while seconds < question["seconds"]:
                size = sum(len(codec.encode(chunk)) for chunk in chunks)
                passes += 1
                seconds = time.perf_counter() - start
            say({"seconds": seconds / passes, "bytes": size})
    except Exception as error:  # the other side reports it and ends
        say({"error": f"{type(error).__name__}: {error}"})
