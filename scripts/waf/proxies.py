"""The proxies of through.py, each in one process before the same small server."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from bench import BODIES

PATIENCE_S = 30
TICKS = os.sysconf("SC_CLK_TCK")
ANSWER = "x" * 1024


def fail(what):
    sys.exit(f"bench: {what}")


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class Proxy:
    """A process, and the port it listens on."""

    def __init__(self, folder, name, command):
        self.name, self.folder = name, os.path.join(folder, name)
        self.port, self.process, self.command = free_port(), None, command
        os.makedirs(self.folder)

    def start(self):
        out = os.path.join(self.folder, "out")
        with open(out, "wb") as file:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=file, stderr=subprocess.STDOUT
            )
        for _ in range(PATIENCE_S * 20):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.05)
        with open(out, encoding="utf-8", errors="replace") as file:
            fail(f"{self.name} did not start:\n{file.read()[-2000:]}")

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def ask(self, request):
        """The status of the answer to a request."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            client.putrequest(
                request["method"], request["target"], skip_host=True, skip_accept_encoding=True
            )
            for name, value in request["headers"]:
                client.putheader(name, value)
            client.endheaders(request.get("body", "").encode() or None)
            return client.getresponse().status
        finally:
            client.close()

    def cpu_us(self):
        """User and system time of all its threads so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000 / TICKS

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def nginx_program():
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    return program or fail("there is no nginx; run scripts/setup.sh bench-waf")


def modsecurity_module():
    said = subprocess.run([nginx_program(), "-V"], capture_output=True, text=True, check=False)
    words = (said.stdout + said.stderr).split()
    places = [word.partition("=")[2] for word in words if word.startswith("--modules-path=")]
    for place in places:
        path = os.path.join(place, "ngx_http_modsecurity_module.so")
        if os.path.isfile(path):
            return path
    return fail("nginx has no ModSecurity; run scripts/setup.sh bench-waf")


def nginx(folder, name, body, module=None):
    """One process, its files in the folder, `body` in its `http`; PORT and DIR are filled in."""
    proxy = Proxy(folder, name, [])
    temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    paths = "\n".join(f"  {kind}_temp_path {proxy.folder}/{kind};" for kind in temporary)
    config = f"""{f'load_module {module};' if module else ''}
daemon off; master_process off; worker_processes 1;
pid {proxy.folder}/pid; error_log {proxy.folder}/error.log error;
events {{ worker_connections 1024; }}
http {{
{paths}
  keepalive_timeout 600s; keepalive_requests 1000000000;
  server_tokens off; tcp_nodelay on;
{body.replace("PORT", str(proxy.port)).replace("DIR", proxy.folder)}
}}
"""
    path = write(os.path.join(proxy.folder, "nginx.conf"), config)
    proxy.command = [nginx_program(), "-c", path, "-p", proxy.folder, "-e", "stderr"]
    return proxy


def origin(folder):
    return nginx(
        folder,
        "origin",
        f"""  access_log off;
  server {{
    listen 127.0.0.1:PORT backlog=1024;
    location / {{ default_type text/plain; return 200 '{ANSWER}'; }}
  }}""",
    )


def nginx_proxy(folder, name, server, crs=None):
    """nginx before a server; with ModSecurity, where files of rules are given."""
    rules = ""
    if crs:
        includes = "".join(f"Include {path}\n" for path in crs)
        path = write(os.path.join(folder, f"{name}.rules"), BODIES.lstrip() + includes)
        rules = f"modsecurity on; modsecurity_rules_file {path};"
    return nginx(
        folder,
        name,
        f"""  log_format plain '$time_iso8601 $remote_addr "$request" $status $body_bytes_sent '
    '"$http_referer" "$http_user_agent" $request_time $upstream_addr $request_id';
  access_log DIR/access.log plain buffer=64k flush=1s;
  upstream app {{ server 127.0.0.1:{server.port}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:PORT backlog=1024;
    {rules}
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection '';
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Request-Id $request_id;
    }}
  }}""",
        modsecurity_module() if crs else None,
    )


def tidegate(folder, name, server, program, profiles="", default="off", others=()):
    """Tidegate before a server.

    `profiles` is the YAML of its `waf`, `default` the one that judges all requests here; there
    is a route more for each profile in `others`.
    """
    proxy = Proxy(folder, name, [program, "-c", "tidegate.yaml"])
    routes = "".join(
        f"  - {{ name: r{n}, match: {{ path_prefix: /r{n}/ }}, upstream: app, waf: {other} }}\n"
        for n, other in enumerate(others)
    )
    write(
        os.path.join(proxy.folder, "tidegate.yaml"),
        f"""server:
  threads: 1
  pid_file: {proxy.folder}/run/tidegate.pid
  upgrade_sock: {proxy.folder}/run/tidegate.sock
admin: {{ listen: "127.0.0.1:{free_port()}", token: only-for-this-bench-0 }}
log: {{ level: error, access: {{ to: {proxy.folder}/access.log, format: json }} }}
listeners:
  - address: 127.0.0.1:{proxy.port}
    timeouts: {{ idle: 10m }}
    limits: {{ requests_per_connection: 1000000000 }}
upstreams:
  app: {{ servers: ["127.0.0.1:{server.port}"], connections: {{ idle: 128 }} }}
waf: {{ {profiles} }}
defaults: {{ waf: {default} }}
routes:
{routes}  - {{ name: rest, upstream: app }}
""",
    )
    return proxy
