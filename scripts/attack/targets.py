"""The server behind, and the two that stand before it, each on ports of loopback."""

import copy
import http.client
import json
import os
import shutil
import subprocess
import time

from machine import Process, free_ports

# What every nginx here has: Debian's file, but for its paths, and as nobody in particular.
NGINX = """daemon off;
{user}worker_processes {workers};
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  sendfile on;
  tcp_nopush on;
  types_hash_max_size 2048;
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log {log};
  gzip on;
{servers}
}}
"""


class Refused(Exception):
    """A target that does not start with its configuration."""


def find_nginx():
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Nginx:
    def __init__(self, folder, workers, log, servers):
        os.makedirs(folder)
        path = os.path.join(folder, "nginx.conf")
        user = "user root;\n" if os.getuid() == 0 else ""
        fields = {"user": user, "workers": workers, "folder": folder, "log": log}
        with open(path, "w", encoding="utf-8") as file:
            file.write(NGINX.format(servers=servers, **fields))
        self.process = Process([find_nginx(), "-p", folder, "-c", path], folder)


class Origin(Nginx):
    """A small nginx with a page of 1 KiB and a file of 1 MiB."""

    def __init__(self, folder):
        (self.port,) = free_ports(1)
        pages = folder + "-pages"
        os.makedirs(pages)
        for name, size in [("small", 1024), ("large", 1 << 20)]:
            with open(os.path.join(pages, name), "wb") as file:
                file.write(b"x" * size)
        servers = f"""  server {{
    listen 127.0.0.1:{self.port};
    root {pages};
    location = /small {{ error_page 405 =200 /small; }}
    location = /status {{ access_log off; stub_status; }}
  }}"""
        super().__init__(folder, 1, "off", servers)
        wait_until_it_answers(self.process, self.port, folder)

    def requests(self):
        """How many requests have come to it."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        client.request("GET", "/status")
        text = client.getresponse().read().decode()
        client.close()
        return int(text.splitlines()[2].split()[2])


class NginxProxy(Nginx):
    """nginx as Debian ships it, with a proxy_pass and nothing else of our own."""

    def __init__(self, folder, origin, _options):
        self.port, self.h2_port = free_ports(2)
        location = f"location / {{ proxy_pass http://127.0.0.1:{origin.port}; }}"
        servers = f"""  server {{
    listen 127.0.0.1:{self.port};
    listen 127.0.0.1:{self.h2_port} http2;
    {location}
  }}"""
        super().__init__(folder, "auto", f"{folder}/access.log", servers)
        wait_until_it_answers(self.process, self.port, folder)


class Tidegate:
    """Tidegate with its defaults, and what `options` change: the keys of the file, and
    under `listener` those of every listener."""

    program = None

    def __init__(self, folder, origin, options):
        os.makedirs(folder)
        self.port, self.h2_port = free_ports(2)
        options = copy.deepcopy(options)
        listener = options.pop("listener", {})
        written = {
            "server": {
                "pid_file": f"{folder}/pid",
                "upgrade_sock": f"{folder}/own/upgrade.sock",
                "error_log": f"{folder}/error.log",
            },
            "admin": {"listen": "off"},
            "log": {"access": {"to": f"{folder}/access.log"}},
            "listeners": [
                {"address": f"127.0.0.1:{self.port}"} | listener,
                {"address": f"127.0.0.1:{self.h2_port}", "protocols": ["h1", "h2c"]} | listener,
            ],
            "upstreams": {"app": {"servers": [f"127.0.0.1:{origin.port}"]}},
            "routes": [{"upstream": "app"}],
        }
        for section, keys in options.items():
            is_both = isinstance(keys, dict) and isinstance(written.get(section), dict)
            written[section] = written[section] | keys if is_both else keys
        path = os.path.join(folder, "site.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(written, file)  # JSON is YAML
        tested = subprocess.run(
            [self.program, "-c", path, "-t"], capture_output=True, text=True, check=False
        )
        if tested.returncode:
            raise Refused((tested.stdout + tested.stderr).replace(folder, "").strip())
        self.process = Process([self.program, "-c", path], folder)
        wait_until_it_answers(self.process, self.port, folder)


def wait_until_it_answers(process, port, folder):
    until = time.monotonic() + 20
    while time.monotonic() < until and process.is_there:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            client.request("GET", "/small", headers={"Host": "site.example"})
            if client.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            client.close()
        time.sleep(0.05)
    process.end()
    said = ""
    for name in ("said", "error.log"):
        if os.path.exists(os.path.join(folder, name)):
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                said += file.read()
    raise Refused(f"it does not answer: {said[-600:].strip()}")
