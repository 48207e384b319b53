#!/usr/bin/python3
"""Small HTTP servers that call one another by name and know nothing of a mesh.

    bookinfo.py productpage | reviews-v1 | reviews-v2 | ratings | outside

productpage asks reviews, reviews-v2 asks ratings. Each passes on who the user is, as web applications do. All listen on
port 9080. Besides its own answer each has /version (which of them it is), /slow (the same, after three seconds) and
/echo (the request as it arrived).
"""

import http.server
import json
import sys
import time
import urllib.request

ROLE = sys.argv[1]


def ask(url, headers):
    passed = {name: headers[name] for name in ("end-user", "x-request-id", "traceparent") if headers[name]}
    with urllib.request.urlopen(urllib.request.Request(url, headers=passed), timeout=5) as answer:
        return json.load(answer)


def productpage(headers):
    return {"title": "The Comedy of Errors", "reviews": ask("http://reviews:9080/", headers)}


def reviews_v1(headers):
    return {"version": "v1", "reviews": ["An extremely entertaining play.", "Absolutely fun."]}


def reviews_v2(headers):
    ratings = ask("http://ratings:9080/", headers)["ratings"]
    return {"version": "v2", "reviews": [
        {"text": "An extremely entertaining play.", "stars": ratings[0]},
        {"text": "Absolutely fun.", "stars": ratings[1]}]}


def ratings(headers):
    return {"ratings": [5, 4]}


def outside(headers):
    return {"answer": "from outside the mesh"}


ANSWERS = {"productpage": productpage, "reviews-v1": reviews_v1, "reviews-v2": reviews_v2, "ratings": ratings,
           "outside": outside}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one segment

    def do_GET(self):
        status = 200
        if self.path.startswith(("/version", "/slow")):
            time.sleep(3 if self.path.startswith("/slow") else 0)
            body = ROLE.encode() + b"\n"
        elif self.path.startswith("/echo"):
            lines = [f"{self.command} {self.path}", *(f"{name.lower()}: {value}" for name, value in self.headers.items())]
            body = "\n".join(lines).encode() + b"\n"
        else:
            try:
                body = json.dumps(ANSWERS[ROLE](self.headers)).encode() + b"\n"
            except OSError as error:
                status, body = 503, f"{ROLE}: {error}\n".encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


Server(("0.0.0.0", 9080), Handler).serve_forever()
