#!/usr/bin/env python3
"""Scenes of hadal-run -i in a pseudo-terminal, on models/tiny.

    interactive.py HADAL_RUN HADAL_COMPILE|ARTIFACT [SCENE...]

The model is compiled first, if there is no artifact of it.
"""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time

MODEL = str(pathlib.Path(__file__).resolve().parents[3] / "models" / "tiny")
RUN, ARTIFACT = sys.argv[1], sys.argv[2]
TIMEOUT = 30


class Terminal:
    """hadal-run -i in a terminal of 40 columns, with a state directory."""

    def __init__(self, *options, state=None, limit=12):
        self.state = state or tempfile.mkdtemp()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["XDG_STATE_HOME"] = self.state
            os.execv(RUN, [RUN, ARTIFACT, "--weights", MODEL, "-i", "-n",
                           str(limit), *options])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 24, 40, 0, 0))
        self.output = ""

    def read(self, seconds=0.05):
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            self.output += data.decode(errors="replace")
            return bool(data)
        return True

    def wait(self, pattern):
        """Until the new output has |pattern|; returns what stood before it."""
        end = time.time() + TIMEOUT
        while time.time() < end:
            if found := re.search(pattern, self.output):
                before = self.output[:found.start()]
                self.output = self.output[found.end():]
                return before
            if not self.read():
                break
        raise AssertionError(f"no {pattern!r} in {self.output!r}")

    def prompt(self):
        """Until an empty line is edited."""
        return self.wait(r"\r> \x1b\[K\r\x1b\[2C")

    def send(self, text):
        os.write(self.fd, text.encode() if isinstance(text, str) else text)

    def ask(self, line):
        """The answer to |line|."""
        self.send(line + "\r")
        self.wait(r"\x1b\[K\r\x1b\[\d+C\r\n")
        return self.prompt()

    def end(self):
        """The exit status."""
        end = time.time() + TIMEOUT
        while time.time() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while self.read(0) and select.select([self.fd], [], [], 0)[0]:
                    pass
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            self.read()
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError(f"does not end: {self.output!r}")


def began(*options, **more):
    terminal = Terminal(*options, **more)
    terminal.prompt()
    return terminal


def answers_and_ends_by_ctrl_d():
    t = began()
    assert len(t.ask("One day")) > 5
    t.send("\x04")
    assert t.end() == 0


def exit_ends():
    t = began()
    t.send("/exit\r")
    assert t.end() == 0


def ctrl_c_at_an_empty_prompt_is_130():
    t = began()
    t.send("\x03")
    assert t.end() == 130


def ctrl_c_gives_up_a_line():
    t = began()
    t.send("abc\x03")
    t.prompt()
    t.send("\x04")
    assert t.end() == 0


def ctrl_c_stops_an_answer_and_keeps_it():
    t = began("--ignore-eos", limit=230)
    t.send("One day\r")
    t.wait(r"2004l.")
    t.send("\x03")
    t.wait("notice: stopped")
    t.prompt()
    path = os.path.join(t.state, "saved")
    t.ask("/save " + path)
    roles = [m["role"] for m in json.load(open(path))]
    assert roles == ["user", "assistant"], roles
    t.send("\x04")
    assert t.end() == 0


def two_ctrl_c_in_a_second_end():
    t = began("--ignore-eos", limit=230)
    t.send("One day\r")
    t.wait(r"2004l.")
    os.kill(t.pid, signal.SIGINT)
    os.kill(t.pid, signal.SIGINT)
    time.sleep(0.05)
    try:
        os.kill(t.pid, signal.SIGINT)
        t.send("\x03")
    except (ProcessLookupError, OSError):
        pass
    assert t.end() == 130


def clear_is_a_fresh_start():
    fresh = began().ask("One day")
    t = began()
    t.ask("Another story")
    t.ask("And more")
    t.ask("/clear")
    assert t.ask("One day") == fresh


def an_answer_does_not_depend_on_the_cache():
    t = began()
    t.ask("One day")
    second = t.ask("And then")
    path = os.path.join(t.state, "saved")
    t.ask("/save " + path)
    assert "were still there" in t.ask("/tokens")
    other = began(state=t.state)
    other.ask("/load " + path)
    assert other.ask("/regen") == second


def regen_draws_again():
    t = began("--temp", "1", limit=24)
    first = t.ask("One day")
    assert t.ask("/regen") != first
    again = began("--temp", "1", limit=24)
    assert again.ask("One day") == first
    assert "no answer" in began().ask("/regen")


def temperature_and_seed():
    t = began(limit=24)
    greedy = t.ask("One day")
    t.ask("/temp 2")
    t.ask("/clear")
    assert t.ask("One day") != greedy
    t.ask("/temp 0")
    t.ask("/clear")
    assert t.ask("One day") == greedy
    assert "H5011" in t.ask("/temp x")
    assert "H5005" in t.ask("/temp -1")
    assert "H5011" in t.ask("/seed 1.5")
    assert "H5011" in t.ask("/what")


def system_text_changes_answers():
    t = began()
    plain = t.ask("One day")
    t.ask("/system The dog was big and the cat was small.")
    other = t.ask("One day")
    assert other != plain
    assert began("--system", "The dog was big and the cat was small.").ask(
        "One day") == other


def saved(t):
    path = os.path.join(t.state, "saved")
    t.ask("/save " + path)
    assert stat.S_ISREG(os.stat(path).st_mode)
    return json.load(open(path))


def lines_continue():
    t = began()
    t.send("a\\\r")
    t.wait(r"\r\. ")
    t.ask("b")
    assert saved(t)[0]["content"] == "a\nb"


def blocks_continue():
    t = began()
    for line in ('"""a', "b\\"):
        t.send(line + "\r")
        t.wait(r"\r\. \x1b\[K\r\x1b\[2C")
    t.ask('c"""')
    assert saved(t)[0]["content"] == "a\nb\\\nc"


def pastes_300_lines():
    t = began()
    lines = [f"l{i}" for i in range(60)]
    t.send("\x1b[200~" + "\r".join(lines) + "\x1b[201~")
    t.ask("")
    assert saved(t)[0]["content"] == "\n".join(lines)
    # 300 do not fit the model: an error, and the dialogue goes on.
    t.send("\x1b[200~" + "\r".join(f"line {i}" for i in range(300))
           + "\x1b[201~\r")
    t.wait("H5005")
    t.prompt()
    assert len(saved(t)) == 2


def edits():
    t = began()
    t.send("xbcd\x01\x1b[3~a\x05\x7f\x1b[D\x1b[CD!\x02\x0b")
    t.ask("")
    assert saved(t)[0]["content"] == "abcD", saved(t)


def edits_wide_characters():
    t = began()
    t.send("漢字é👍")
    t.wait("漢字é👍\x1b\\[K\r\x1b\\[9C")
    t.send("\x7f\x1b[D\x7f")
    t.wait("漢é\x1b\\[K\r\x1b\\[4C")
    t.send("y" * 60)
    t.wait(r"> y{37}\x1b\[K\r\x1b\[39C")
    t.send("\x15\x0b\x04")
    assert t.end() == 0


def history_is_the_users_own():
    t = began()
    t.ask("/help")
    t.ask("/tokens")
    t.send("\x1b[A\x1b[A")
    t.wait("/help")
    t.send("\x15\x04")
    t.end()
    path = os.path.join(t.state, "hadal", "history")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    other = began(state=t.state)
    other.send("\x1b[A")
    other.wait("/tokens")


def sighup_ends_and_restores_the_terminal():
    for number in (signal.SIGHUP, signal.SIGTERM):
        t = began()
        raw = termios.tcgetattr(t.fd)[3]
        assert not raw & termios.ICANON
        os.kill(t.pid, number)
        t.wait(r"\x1b\[\?2004l")
        assert t.end() == 130


def no_template_is_a_plain_text():
    out = subprocess.run(
        [RUN, ARTIFACT, "--weights", MODEL, "-q", "-p", "One day", "-n", "8"],
        capture_output=True, text=True, check=True).stdout
    mine = subprocess.run(
        [RUN, ARTIFACT, "--weights", MODEL, "-q", "-i", "--no-template", "-n",
         "8"], input="One day\n", capture_output=True, text=True, check=True)
    assert mine.stdout.strip() in out and mine.stdout.strip(), (mine, out)


def lines_of_a_file():
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("One day\nThe cat\nOne day\n")
        file.flush()
        out = subprocess.run(
            [RUN, ARTIFACT, "--weights", MODEL, "-q", "--input-file", file.name,
             "--max-new-tokens", "8", "--temperature", "0"],
            capture_output=True, text=True, check=True).stdout
    parts = re.findall(r"Prompt: (.*)\nCompletion: ((?:.|\n)*?)\n\n", out)
    assert [p[0] for p in parts] == ["One day", "The cat", "One day"], out
    assert parts[0][1] == parts[2][1] != parts[1][1]
    typed = subprocess.run(
        [RUN, ARTIFACT, "--weights", MODEL, "-q", "-i", "-n", "8"],
        input="One day\r\n", capture_output=True, text=True, check=True).stdout
    assert typed == parts[0][1] + "\n", (typed, parts)


def options_are_checked():
    for options in (["-i", "-p", "x"], ["-p", "x", "--system", "y"],
                    ["-i", "--special"],
                    ["-i", "--no-template", "--chat-template", "f"]):
        done = subprocess.run([RUN, ARTIFACT, "--weights", MODEL, *options],
                              capture_output=True, text=True)
        assert done.returncode == 2 and "H5011" in done.stderr, done
    done = subprocess.run([RUN, ARTIFACT, "--weights", MODEL, "-i",
                           "--chat-template", "/nowhere"],
                          capture_output=True, text=True)
    assert done.returncode == 3 and "H5025" in done.stderr, done


SCENES = [f for n, f in list(globals().items())
          if callable(f) and getattr(f, "__module__", "") == "__main__"
          and not n.startswith("_")
          and n not in ("Terminal", "began", "saved")]


def main():
    global ARTIFACT
    wanted = sys.argv[3:]
    directory = tempfile.TemporaryDirectory()
    if not ARTIFACT.endswith(".hadal"):
        compiler, ARTIFACT = ARTIFACT, os.path.join(directory.name, "m.hadal")
        subprocess.run([compiler, MODEL, "--images=native", "--max-batch-size",
                        "1", "--max-seq-len", "256", "-o", ARTIFACT],
                       check=True, capture_output=True)
    failed = 0
    for scene in SCENES:
        if wanted and scene.__name__ not in wanted:
            continue
        begin = time.time()
        try:
            scene()
            print(f"{scene.__name__}: {time.time() - begin:.1f} s")
        except (AssertionError, OSError, subprocess.CalledProcessError) as error:
            failed += 1
            print(f"{scene.__name__}: FAILED: {type(error).__name__}: {error}")
    print(f"interactive: {len(SCENES)} scenes, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
