#!/usr/bin/env python3
"""Speaks to hadal-lsp-server as an editor does.

    session.py SERVER

Opens a file that is right and one whose operation does not verify; expects no
diagnostic for the one and the verifier's words, at its line, for the other.
"""
import json
import subprocess
import sys

RIGHT = """#tokens = #dsv3.layout<[tokens]>
func.func @f(%x: tensor<?x4xbf16, #tokens>, %w: tensor<4xf32>) {
  %0 = dsv3.rms_norm %x, %w eps 0.5 : (tensor<?x4xbf16, #tokens>, tensor<4xf32>) -> tensor<?x4xbf16, #tokens>
  return
}
"""
WRONG = RIGHT.replace("%w: tensor<4xf32>", "%w: tensor<5xf32>").replace(
    "tensor<4xf32>)", "tensor<5xf32>)")


class Server:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)

    def send(self, method, params, number=None):
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        if number is not None:
            message["id"] = number
        body = json.dumps(message).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def receive(self):
        size = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        return json.loads(self.process.stdout.read(size))

    def diagnostics(self, name, text):
        self.send("textDocument/didOpen", {"textDocument": {
            "uri": f"file:///{name}.mlir", "languageId": "mlir", "version": 1,
            "text": text}})
        while True:
            message = self.receive()
            if message.get("method") == "textDocument/publishDiagnostics":
                return message["params"]["diagnostics"]


def main():
    server = Server(sys.argv[1])
    server.send("initialize", {"processId": None, "rootUri": None,
                               "capabilities": {}}, 1)
    assert "capabilities" in server.receive()["result"]
    server.send("initialized", {})
    right = server.diagnostics("right", RIGHT)
    wrong = server.diagnostics("wrong", WRONG)
    server.send("shutdown", None, 2)
    server.receive()
    server.send("exit", None)
    status = server.process.wait(timeout=20)
    assert right == [], right
    assert len(wrong) == 1 and wrong[0]["range"]["start"]["line"] == 2, wrong
    assert "dsv3.rms_norm" in wrong[0]["message"], wrong
    assert status == 0, status
    print("session: 2 files, 1 diagnostic:", wrong[0]["message"])


main()
