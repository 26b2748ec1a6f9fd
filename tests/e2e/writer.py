# SPDX-License-Identifier: BSD-2-Clause
"""A process that writes files as a test says, step by step.

It is started as `python3 writer.py DIRECTORY`, so that its command line names the directory. Steps
come on descriptor 0 and answers go to descriptor 9, both as lines of JSON: its stdout and stderr
belong to the test. Only Python's standard library; writer.py is also a module, see Writer.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import traceback

REPLY_FD = 9


class Writer:
    """A plain process that writes as it is told, and counts as a node by its command line."""

    pid = 0

    def __init__(self, tmp, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, home=None):
        self.home = home or tempfile.mkdtemp(prefix="gso-test-node-", dir=tmp)
        os.chmod(self.home, 0o755)
        ours, theirs = os.pipe()
        self.popen = subprocess.Popen(
            ["python3", "-c", f"import os; os.dup2({theirs}, {REPLY_FD}); os.execvp('python3', "
             f"['python3', {__file__!r}, {self.home!r}])"],
            stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, pass_fds=[theirs], text=True,
            bufsize=1)
        os.close(theirs)
        self.replies = open(ours)
        self.pid = self.popen.pid
        self.do("")

    def do(self, code):
        """Run Python code in it and wait for its end; the value of `result` is returned."""
        self.popen.stdin.write(json.dumps(code) + "\n")
        answer = self.replies.readline()
        assert answer, "the writer ended"
        answer = json.loads(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def end(self):
        with contextlib.suppress(OSError):
            self.popen.stdin.close()
        self.popen.wait(10)


def main():
    steps, names = sys.stdin, {"os": os, "sys": sys, "home": sys.argv[1], "result": None}
    replies = os.fdopen(REPLY_FD, "w", buffering=1)
    for line in steps:
        try:
            exec(json.loads(line), names)  # noqa: S102 (what the test says)
            replies.write(json.dumps({"result": names["result"]}) + "\n")
        except BaseException:
            replies.write(json.dumps({"error": traceback.format_exc()}) + "\n")


if __name__ == "__main__":
    main()
