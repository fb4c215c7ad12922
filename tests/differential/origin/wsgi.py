import json
import os

LOG = os.open("seen", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def utf8(text):
    return text.encode("latin-1").decode("utf-8", "replace")


def app(environ, start_response):
    case = environ.get("HTTP_X_CASE", "")
    seen = {
        "case": case,
        "method": environ["REQUEST_METHOD"],
        "target": environ["RAW_URI"],
        "path": utf8(environ["PATH_INFO"]),
        "host": environ.get("HTTP_HOST", ""),
        "status": "0",
    }
    try:
        body = environ["wsgi.input"].read()
        seen["body"] = body.decode()
        # Nobody tells an application of WSGI that a body was cut off.
        if len(body) == int(environ.get("CONTENT_LENGTH") or len(body)):
            seen["status"] = "200"
    finally:
        os.write(LOG, (json.dumps(seen) + "\n").encode())
    start_response("200 OK", [("x-case", case), ("content-length", "2")])
    return [b"ok"]
