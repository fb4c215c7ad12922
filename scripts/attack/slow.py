"""The four modes of slowhttptest, and what it saw."""

import csv
import os
import subprocess
import tempfile

CONNECTIONS = 2000
RATE = 400

MODES = {
    # A field of the head every 2 s.
    "slow-head": ["-H", "-i", "2", "-x", "8", "-t", "GET"],
    # A few bytes of a body every 2 s.
    "slow-body": ["-B", "-i", "2", "-s", "8192", "-x", "10"],
    # Hundreds of ranges of one file that overlap.
    "ranges": ["-R", "-t", "GET", "-a", "5", "-b", "1000"],
    # A window of a few bytes, read from once a second.
    "slow-read": ["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5", "-k", "1"],
}  # fmt: skip
PATHS = {"slow-read": "/large", "ranges": "/large"}


def attack(name, port, seconds):
    with tempfile.TemporaryDirectory() as folder:
        said = os.path.join(folder, "said")
        url = f"http://127.0.0.1:{port}{PATHS.get(name, '/small')}"
        command = ["slowhttptest", *MODES[name], "-c", str(CONNECTIONS), "-r", str(RATE)]
        command += ["-l", str(int(seconds)), "-u", url, "-p", "3", "-g", "-o", said]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 20, check=False
        )
        with open(said + ".csv", encoding="ascii") as file:
            rows = list(csv.DictReader(file))
    return judge(rows, ended.stdout, seconds)


def judge(rows, output, seconds):
    rows = [{key.strip(): value.strip() for key, value in row.items() if key} for row in rows]
    last = rows[-1]
    closed, connected = int(last["Closed"]), int(last["Connected"])
    words = [f"of {CONNECTIONS:,} connections {connected:,} were open at the end"]
    if closed:
        first = next(int(row["Seconds"]) for row in rows if int(row["Closed"]))
        words.append(f"closed {closed:,}, the first after {first} s")
    else:
        words.append("closed none")
    if int(last["Pending"]):
        words.append(f"did not accept {int(last['Pending']):,}")
    dead = sum(row["Service Available"] == "0" for row in rows)
    if dead:
        words.append("its probe found the site closed")
    opened = closed + connected
    return {"planned": CONNECTIONS, "sent": opened, "stopped": closed, "did": "; ".join(words)}
