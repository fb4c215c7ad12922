"""Ports and processes, and what the kernel says of them."""

import os
import platform
import signal
import socket
import subprocess

TICK = os.sysconf("SC_CLK_TCK")


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


class Process:
    """A process of ours with its children; ended by its number, whatever happens."""

    def __init__(self, command, folder):
        self.log = open(os.path.join(folder, "said"), "ab")
        self.child = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )

    @property
    def is_there(self):
        return self.child.poll() is None

    def end(self):
        if self.is_there:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(3)
            except subprocess.TimeoutExpired:
                for number in reversed(self.numbers()):
                    os.kill(number, signal.SIGKILL)
                self.child.wait()
        self.log.close()

    def numbers(self):
        own = self.child.pid
        try:
            with open(f"/proc/{own}/task/{own}/children", encoding="ascii") as file:
                return [own, *map(int, file.read().split())]
        except OSError:
            return []

    def cpu(self):
        """Seconds of user and system time so far."""
        total = 0
        for number in self.numbers():
            with open(f"/proc/{number}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def peak(self):
        """The most memory that it had at once, in MiB: the sum of VmHWM."""
        total = 0
        for number in self.numbers():
            with open(f"/proc/{number}/status", encoding="ascii") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        return total / 1024


def words(nginx, tidegate):
    """The machine and what runs on it."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    versions = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    own = subprocess.run([tidegate, "--version"], capture_output=True, text=True, check=True).stdout
    nginx_version = versions.strip().rpartition(" ")[2].removeprefix("nginx/")
    versions = f"nginx {nginx_version}, {own.strip()}"
    cpu = f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
    return f"Machine: {cpu}, Linux {platform.release()}; {versions}."
