"""Decodes single chunks with numcodecs (c-blosc and libzstd) and compares their content.

usage: decode_chunks.py FOLDER

FOLDER is what write_chunks.js made. Prints one line a failure, and at the end "N passed, N failed, N skipped".
"""

import hashlib
import json
import os
import sys

from numcodecs import Blosc, Zstd

folder = sys.argv[1]
with open(os.path.join(folder, "chunks.bin"), "rb") as file:
    data = file.read()
with open(os.path.join(folder, "chunks.jsonl"), encoding="utf8") as file:
    cases = [json.loads(line) for line in file]
decoders = {"blosc": Blosc(cname="zstd"), "zstd": Zstd()}
passed = failed = 0
for case in cases:
    encoded = data[case["offset"] : case["offset"] + case["bytes"]]
    try:
        content = bytes(decoders[case["codec"]].decode(encoded))
        if len(content) != case["content"]:
            raise ValueError(f"{len(content)} bytes, expected {case['content']}")
        if hashlib.sha256(content).hexdigest() != case["sha256"]:
            raise ValueError("the content differs")
        passed += 1
    except Exception as error:  # a decoder's errors are of many kinds, and each is a finding
        failed += 1
        print(f"FAILED {case['name']}: {error}")
print(f"{passed} passed, {failed} failed, 0 skipped")
sys.exit(1 if failed or not passed else 0)
