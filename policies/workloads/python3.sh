#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

# Threads and processes of its own are another workload; this one is the interpreter and its
# library.
cat >work.py <<'PYTHON'
import collections, csv, hashlib, io, json, os, re, sys, tempfile, time

with open("data.json", "w") as f:
    json.dump({str(i): list(range(i % 7)) for i in range(2000)}, f)
with open("data.json") as f:
    data = json.load(f)
words = collections.Counter(re.findall(r"\d+", open("data.json").read()))
os.makedirs("made/by", exist_ok=True)
with tempfile.NamedTemporaryFile("w", dir="made", delete=False) as f:
    csv.writer(f).writerows(words.most_common(50))
os.replace(f.name, "made/by/python")
for base, _, files in os.walk("made"):
    for name in files:
        hashlib.sha256(open(os.path.join(base, name), "rb").read()).hexdigest()
reader, writer = os.pipe()
os.write(writer, b"through a pipe")
assert os.read(reader, 100) == b"through a pipe"
time.sleep(0.001)
try:
    open("missing")
except FileNotFoundError:
    pass
big = [bytes(100_000) for _ in range(20)]
del big
print(len(data), len(sys.stdin.read()))
PYTHON
same "the answer" "2000 6" "$(echo hello | run -B work.py)"
run -B -c 'print("hello")' >/dev/null
enough
echo 'import math; print(math.pi)' | run -B - >/dev/null
run -I -S -c 'pass'
run -B -m json.tool data.json >/dev/null
fails 1 -B -c 'raise SystemExit(1)'
fails 1 -B -c 'import nothing_of_this_name'
fails 2 -B missing.py
run --version >/dev/null
