"""A client of Switchyard made from its protos at run time: what any team with grpcio would have.

Nothing generated is kept: the stubs are compiled into a temporary folder each time, so they can't be older than the contract.
"""

import contextlib
import importlib
import pathlib
import sys
import tempfile
import time
import uuid

import grpc
import grpc_tools
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
POSITION = "x-switchyard-position"
CALL_SECONDS = 15
# A service that was killed a moment ago may need this long until it leads again.
RETRY_SECONDS = 60
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


@contextlib.contextmanager
def generated():
    """Compiles the protos, and makes them importable for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="switchyard-python-") as folder:
        well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
        files = sorted(str(path) for path in PROTO.glob("switchyard/**/*.proto"))
        third_party = PROTO / "third_party"
        roots = [f"-I{PROTO}", f"-I{well_known}"]
        if third_party.is_dir():
            roots.append(f"-I{third_party}")
        code = protoc.main(["protoc", *roots, f"--python_out={folder}", f"--grpc_python_out={folder}", *files])
        if code != 0:
            raise SystemExit(f"the protos don't compile: protoc says {code}")
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)


def module(package, name=None):
    """The messages of a package: `module("intake")` is switchyard.intake.v1."""
    return importlib.import_module(f"switchyard.{package}.v1.{name or package}_pb2")


def stub(package, service, channel):
    """The stub of a service."""
    generated_module = importlib.import_module(f"switchyard.{package}.v1.{package}_pb2_grpc")
    return getattr(generated_module, f"{service}Stub")(channel)


def new_id():
    """A UUIDv7: 48 bits of milliseconds, then chance."""
    chance = uuid.uuid4().int & ((1 << 80) - 1)
    value = (int(time.time() * 1000) << 80) | chance
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def reason_of(error):
    """The reason that a refusal carries, `TICKET_NOT_FOUND`; empty if it carries none."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == "switchyard":
            return info.reason
    return ""


class Client:
    """The four services: retries what was unavailable, and remembers how far it has seen the logs.

    A retry repeats the very same request, so the request_id keeps it from running twice.
    """

    def __init__(self, addresses):
        self.channels = {name: grpc.insecure_channel(address) for name, address in addresses.items()}
        self.stubs = {
            "intake": stub("intake", "IntakeService", self.channels["intake"]),
            "routing": stub("routing", "RoutingService", self.channels["routing"]),
            "sla": stub("sla", "SlaService", self.channels["sla"]),
            "notify": stub("notify", "NotifyService", self.channels["notify"]),
        }
        self.seen = {}

    def close(self):
        """Ends all connections, and with them all watches."""
        for channel in self.channels.values():
            channel.close()

    def call(self, service, method, request):
        """Calls, and calls again while the service is unavailable. Sends every position seen, and remembers the reply's."""
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = new_id()
        deadline = time.monotonic() + RETRY_SECONDS
        pause = FIRST_PAUSE
        while True:
            try:
                answer = getattr(self.stubs[service], method)(request, timeout=CALL_SECONDS, metadata=self.metadata())
                break
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                    raise
                time.sleep(pause)  # between attempts, not in place of a condition
                pause = min(pause * 2, LONGEST_PAUSE)
        self.note(getattr(answer, "position", ""))
        return answer

    def watch(self, service, method, request):
        """Opens a stream, which ends when the client is closed."""
        return getattr(self.stubs[service], method)(request, metadata=self.metadata())

    def metadata(self):
        """The header that makes a call wait until it has seen what this client has."""
        return [(POSITION, ",".join(self.seen.values()))] if self.seen else []

    def note(self, token):
        """Remembers the latest position of each log."""
        if not isinstance(token, str):
            return
        for position in filter(None, token.split(",")):
            log, _, seq = position.rpartition(".")
            held = self.seen.get(log)
            if held is None or int(seq) > int(held.rpartition(".")[2]):
                self.seen[log] = position
