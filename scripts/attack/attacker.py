"""Runs one attack and prints one line of JSON: what was sent, and what the target did.

    attacker.py NAME PORT SECONDS

It keeps to the last core and gives way a little: that an attacker on the same
machine takes time from everybody on it is no doing of the target.
"""

import json
import os
import sys

import attacks

if __name__ == "__main__":
    name, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    attack = next(attack for attack in attacks.ALL if attack.name == name)
    os.nice(5)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(json.dumps(attack.run(port, seconds)))
