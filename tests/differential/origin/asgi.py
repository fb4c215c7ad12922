import json
import os

LOG = os.open("seen", os.O_WRONLY | os.O_APPEND | os.O_CREAT)


async def app(scope, receive, send):
    fields = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    body, status = b"", ""
    while not status:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            status = "0"
        elif not message.get("more_body"):
            status = "200"
    query = scope["query_string"].decode()
    case = fields.get("x-case", "")
    seen = {
        "case": case,
        "method": scope["method"],
        "target": scope["raw_path"].decode() + ("?" + query if query else ""),
        "path": scope["path"],
        "host": fields.get("host", ""),
        "body": body.decode(),
        "status": status,
    }
    os.write(LOG, (json.dumps(seen) + "\n").encode())
    answer = [(b"x-case", case.encode()), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": answer})
    await send({"type": "http.response.body", "body": b"ok"})
