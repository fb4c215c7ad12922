"""The server behind, and the two that stand before it, each on ports of loopback."""

import copy
import http.client
import json
import os
import shutil
import subprocess
import time

from machine import Process, free_ports

# What is listened for: HTTP/1, HTTP/2 and TLS.
PORTS = ("h1", "h2", "tls")
# A page that a target answers by itself.
OWN = "/own"
OWN_ROUTE = {"match": {"path": OWN}, "respond": {"status": 200, "body": "own"}}

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
  ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
  ssl_prefer_server_ciphers on;
  access_log {log};
  gzip on;
{servers}
}}
"""


class Refused(Exception):
    """A target that does not start with its configuration."""


def find_nginx():
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Pair:
    """A certificate and its key, of RSA: the kind whose handshakes cost a server most."""

    def __init__(self, folder):
        os.makedirs(folder)
        self.cert, self.key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        command += ["-subj", "/CN=site.example", "-addext", "subjectAltName=DNS:site.example"]
        command += ["-keyout", self.key, "-out", self.cert]
        subprocess.run(command, capture_output=True, check=True)


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
    """nginx as Debian ships it, with a proxy_pass, a page of its own, and nothing else of ours."""

    def __init__(self, folder, origin, pair, _options):
        self.ports = dict(zip(PORTS, free_ports(3), strict=True))
        servers = f"""  server {{
    listen 127.0.0.1:{self.ports["h1"]};
    listen 127.0.0.1:{self.ports["h2"]} http2;
    listen 127.0.0.1:{self.ports["tls"]} ssl;
    ssl_certificate {pair.cert};
    ssl_certificate_key {pair.key};
    location / {{ proxy_pass http://127.0.0.1:{origin.port}; }}
    location = {OWN} {{ return 200 own; }}
  }}"""
        super().__init__(folder, "auto", f"{folder}/access.log", servers)
        wait_until_it_answers(self.process, self.ports["h1"], folder)

    def keys(self):
        """It has no limits here."""
        return None


class Tidegate:
    """Tidegate with its defaults, and what `options` change: the keys of the file, and
    under `listener` those of every listener. It has no rules against the content of
    requests, unless `has_rules`: what is promised must hold without them."""

    program = None
    has_rules = False

    def __init__(self, folder, origin, pair, options):
        os.makedirs(folder)
        *ports, self.admin = free_ports(4)
        self.ports = dict(zip(PORTS, ports, strict=True))
        options = copy.deepcopy(options)
        written = self.written(folder, origin, pair, options.pop("listener", {}))
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
        wait_until_it_answers(self.process, self.ports["h1"], folder)

    def written(self, folder, origin, pair, listener):
        tls = {"certificates": [{"cert": pair.cert, "key": pair.key}]}
        kinds = {"h1": {}, "h2": {"protocols": ["h1", "h2c"]}, "tls": {"tls": tls}}
        address = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        return {
            "server": {
                "pid_file": f"{folder}/pid",
                "upgrade_sock": f"{folder}/own/upgrade.sock",
                "error_log": f"{folder}/error.log",
            },
            "admin": {"listen": f"127.0.0.1:{self.admin}"},
            "log": {"access": {"to": f"{folder}/access.log"}},
            "listeners": [{"address": address[name]} | kinds[name] | listener for name in PORTS],
            "upstreams": {"app": {"servers": [f"127.0.0.1:{origin.port}"]}},
            "defaults": {} if self.has_rules else {"waf": "off"},
            "routes": [OWN_ROUTE, {"upstream": "app"}],
        }

    def keys(self):
        """How many keys its limits know, and how many they have forgotten for want of memory;
        none while it is too busy to say so."""
        client = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        try:
            client.request("GET", "/metrics")
            text = client.getresponse().read().decode()
        except OSError:
            return None
        finally:
            client.close()
        told = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
        names = ("tidegate_limit_keys", "tidegate_limit_keys_forgotten")
        return [int(float(told[name])) for name in names]


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
