"""Drives a headless Chromium over its DevTools protocol, through a pair of pipes."""

import base64
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs a Chromium: apt install chromium")

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
# The browser expects its pipes to be descriptors 3 and 4.
LAUNCHER = """if True:
    import fcntl, os, sys
    pipes = [fcntl.fcntl(int(handle), fcntl.F_DUPFD, 10) for handle in sys.argv[1:3]]  # out of the way of 3 and 4
    for handle, number in zip(pipes, (3, 4)):
        os.dup2(handle, number)
    os.execv(sys.argv[3], sys.argv[3:])
"""
KEYS = {"ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Delete": 46, "Tab": 9}


class Browser:
    """One page in a separate browser, with its `errors` and `requests`."""

    def __init__(self, folder, width=1280, height=900):
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        flags = [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(to_browser), str(from_browser), BROWSER, *flags],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._id, self._buffer, self._session, self._events = 0, b"", None, []
        self.errors, self.requests = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def close(self):
        with suppress(OSError):
            self.call("Browser.close")
        for handle in (self._write, self._read):
            os.close(handle)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _message(self):
        while b"\0" not in self._buffer:
            data = os.read(self._read, 1 << 16)
            if not data:
                raise OSError("the browser has ended")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(message["params"]["exceptionDetails"])
            case "Log.entryAdded" if message["params"]["entry"]["level"] == "error":
                self.errors.append(message["params"]["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        return message

    def _send(self, data):
        while data:
            data = data[os.write(self._write, data) :]

    def call(self, method, **params):
        self._id += 1
        request = {"id": self._id, "method": method, "params": params}
        if self._session and not method.startswith(("Browser.", "Target.")):
            request["sessionId"] = self._session
        self._send(json.dumps(request).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._id:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._events.append(message.get("method"))

    def open(self, path):
        """Load a file and wait until it is rendered."""
        self.errors.clear()
        self.requests.clear()
        self._events.clear()
        self.call("Page.navigate", url=f"file://{path}")
        while "Page.loadEventFired" not in self._events:
            self._events.append(self._message().get("method"))
        self.settle()

    def evaluate(self, expression):
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def settle(self):
        """Wait until changes are rendered."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def middle(self, selector):
        """Position of the middle of an element, scrolled into view."""
        return self.evaluate(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)});"
            "node.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});"
            "const box = node.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )

    def _mouse(self, kind, x, y, buttons=1):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    def click_at(self, x, y):
        self._mouse("mousePressed", x, y)
        self._mouse("mouseReleased", x, y, 0)
        self.settle()

    def click(self, selector):
        self.click_at(*self.middle(selector))

    def drag(self, selector, dx=0, dy=0):
        x, y = self.middle(selector)
        self._mouse("mousePressed", x, y)
        for part in (0.3, 0.7, 1):
            self._mouse("mouseMoved", x + part * dx, y + part * dy)
            self.settle()
        self._mouse("mouseReleased", x + dx, y + dy, 0)
        self.settle()

    def focus(self, selector):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")

    def key(self, name):
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=KEYS[name])
        self.settle()

    def resize(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def media(self, media="screen", scheme="light"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.settle()

    def screenshot(self, path):
        image = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(image))
