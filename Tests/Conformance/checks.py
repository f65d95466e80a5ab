"""The record of a run: one line a check, and the count at the end."""

import contextlib
import sys

from tools import Failed


class Checks:
    """Counts and prints checks. Each has a name, a measured number and the limit that it is held to."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, good, detail=""):
        """Records one check; `detail` is the number and its limit, or what is wrong."""
        if good:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{'ok  ' if good else 'FAIL'} {name}" + (f": {detail}" if detail else ""), flush=True)
        return good

    def below(self, name, value, limit, form="{:.3g}"):
        """Holds a number under its limit. NaN is not under any."""
        return self.check(name, value < limit, f"{form.format(value)} (below {form.format(limit)})")

    def equal(self, name, differences):
        """Passes when the list of differences is empty; shows the first few otherwise."""
        differences = list(differences)
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        return self.check(name, not differences, "; ".join(map(str, differences[:3])) + more)

    def note(self, text):
        """A number that is printed for the reader and held to nothing."""
        print(f"     {text}", flush=True)

    @contextlib.contextmanager
    def section(self, name):
        """What goes wrong inside, a command that fails for instance, is one failed check of this name."""
        try:
            yield
        except Failed as error:
            self.check(name, False, str(error))
        except (KeyError, ValueError, OSError, IndexError, TypeError, AssertionError) as error:
            self.check(name, False, f"{type(error).__name__}: {error}")

    def finish(self):
        """Prints the count and gives the exit status."""
        sys.stdout.flush()
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0
