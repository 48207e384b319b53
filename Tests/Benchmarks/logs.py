"""The access log that every proxy writes: the same object per request or connection, and how its file is kept small."""

import json
import os
import threading

from world import BenchError

# The keys of Trammel's log, which are those of Istio's default and a few more, as HAProxy and Envoy can fill them. A peer
# that wrote a shorter line would be compared at other work. What a peer cannot know is null or the constant it would be.
CONSTANT = {
    "source_workload": "client", "source_workload_namespace": "default", "destination_workload": "v1",
    "destination_workload_namespace": "default"}

HAPROXY_HTTP = json.dumps({
    "start_time": "%tr", "method": "%HM", "path": "%HP", "protocol": "%HV", "response_code": "%ST", "response_flags": "%tsc", "response_code_details": None, "bytes_received": "%U",
    "bytes_sent": "%B", "duration": "%Ta", "upstream_service_time": "%Tr", "x_forwarded_for": None,
    "user_agent": "%[capture.req.hdr(0),json]", "request_id": "%[capture.req.hdr(1),json]",
    "authority": "%[capture.req.hdr(2),json]", "upstream_host": "%si:%sp", "upstream_cluster": "%b",
    "upstream_local_address": "%bi:%bp", "downstream_local_address": "%fi:%fp",
    "downstream_remote_address": "%ci:%cp", "requested_server_name": None, "route_name": "%s", **CONSTANT,
    "connection_id": "%lc", "reason": "completed"}, separators=(",", ":"))

HAPROXY_TCP = json.dumps({
    "start_time": "%t", "method": None, "path": None, "protocol": None,
    "response_code": 0, "response_flags": "%tsc", "response_code_details": None, "bytes_received": "%U",
    "bytes_sent": "%B", "duration": "%Tt", "upstream_service_time": None, "x_forwarded_for": None, "user_agent": None,
    "request_id": None, "authority": None, "upstream_host": "%si:%sp", "upstream_cluster": "%b",
    "upstream_local_address": "%bi:%bp", "downstream_local_address": "%fi:%fp",
    "downstream_remote_address": "%ci:%cp", "requested_server_name": None, "route_name": "%s", **CONSTANT,
    "connection_id": "%lc", "reason": "completed"}, separators=(",", ":"))

ENVOY = {
    "start_time": "%START_TIME%", "method": "%REQ(:METHOD)%", "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%", "response_code": "%RESPONSE_CODE%", "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%", "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%", "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%", "request_id": "%REQ(X-REQUEST-ID)%", "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%", "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%", "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%", "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "route_name": "%ROUTE_NAME%", **CONSTANT, "connection_id": "%CONNECTION_ID%", "reason": "completed"}


class Rotation:
    """Empties the logs of a case ten times a second while it is measured, and knows how many lines there were.

    A log that only grew would be written to memory which a virtual machine's host has yet to hand over, at several times
    the cost of memory that is in use; a machine that runs for longer than a benchmark has none of that.
    """

    def __init__(self, logs):
        self.logs, self.bytes, self.sample = logs, {log: 0 for log in logs}, {log: b"" for log in logs}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.empty()
        self.bytes = dict.fromkeys(self.logs, 0)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.empty()

    def run(self):
        while not self.ended.wait(0.1):
            self.empty()

    def empty(self):
        for log in self.logs:
            with open(log, "rb+") as file:
                # HAProxy goes on where it was in the file: what lies before is a hole.
                end = os.fstat(file.fileno()).st_size
                if end:
                    begin = file.seek(0, os.SEEK_DATA)
                    self.sample[log] = file.read(1 << 16)
                    file.truncate(0)
                    self.bytes[log] += end - begin

    def check(self, case, requests):
        """There must have been a line for each request. Envoy and Trammel write behind, and what is appended between a
        look and its truncation is not seen: half of the lines must be."""
        for log in self.logs:
            sample = self.sample[log]
            length = len(sample) / max(1, sample.count(b"\n"))
            lines = self.bytes[log] / length if length else 0
            if lines < requests * 0.5:
                raise BenchError(f"{case.name}: {requests} requests left about {lines:.0f} lines in {log}")
