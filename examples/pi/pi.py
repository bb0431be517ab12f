"""Collects labelled readings, adapts at night, serves all the time, watches itself."""

from __future__ import annotations

import argparse
import pathlib
import signal
import sys
import threading

from answering import Answering
from clocks import DAY, SimulatedClock, WallClock
from sensor import EVERY, Sensor

from fedp.device_runtime import Budget, Personalizer
from fedp.device_runtime.errors import FedpError

NIGHT, MORNING = 2 * 3600.0, 4 * 3600.0  # seconds of the day
LABELLED = 3  # of so many readings, one is labelled: somebody says what the machine did
KEPT, ADAPTED = 240, 144  # examples: what an unfinished night began with stays in store
RECENT = (
    24  # examples that stay when the model was taken back; the watch needed as many
)


class Loop:
    """One device's life; all that it must remember is in the state directory."""

    def __init__(
        self,
        device: Personalizer,
        sensor: Sensor,
        clock: SimulatedClock | WallClock,
        serve: Answering,
        stop: threading.Event,
    ) -> None:
        self.device, self.sensor, self.clock = device, sensor, clock
        self.serve, self.stop = serve, stop
        self.right = self.seen = 0
        self.adapted_on: float | None = None
        device.keep_examples(capacity=KEPT)

    def run(self, until: float) -> None:
        """Goes on from the clock's time to `until`, or to a signal."""
        while not self.stop.is_set() and self.clock.now() < until:
            number = int(self.clock.now() // EVERY)
            self.read(number)
            day, second = divmod(self.clock.now(), DAY)
            if NIGHT <= second < MORNING and self.adapted_on != day:
                self.adapt(day)
                self.adapted_on = day
            if number % (DAY / EVERY) == DAY / EVERY - 1:
                self.say(f"{self.right} of {self.seen} right, live: {self.live()}")
                self.right = self.seen = 0
            number = int(self.clock.now() // EVERY)  # the night took its time
            self.clock.wait_until((number + 1) * EVERY)

    def read(self, number: int) -> None:
        """One reading: served at once, and learned from where it has a label."""
        x, state = self.sensor.read(number)
        self.serve.show(x)
        self.right += int(self.device.predict(x[None]).argmax() == state)
        self.seen += 1
        if number % LABELLED:
            return
        verdict = self.device.record_outcome(x, state)
        if verdict is not None and verdict.reverted:
            self.say(f"taken back: {verdict.reason}")
            self.leave_the_past()
        self.device.add_example(x, state, source="button")

    def leave_the_past(self) -> None:
        """Deletes what came before the world changed, lest the next night learn it."""
        for number in self.device.examples().ids[:-RECENT]:
            self.device.delete_example(int(number))

    def adapt(self, day: float) -> None:
        """At night, until it is done, the budget is used up, or it is morning."""
        morning = day * DAY + MORNING

        def should_stop() -> bool:
            self.clock.step()
            return self.stop.is_set() or self.clock.now() >= morning

        outcome = self.device.personalize(
            budget=Budget(seconds=600, examples=ADAPTED, memory_mb=200),
            should_stop=should_stop,
        )
        self.say(f"{outcome.decision}: {outcome.reason}")

    def live(self) -> str:
        live = self.device.status().live
        return f"generation {live}" if isinstance(live, int) else "the initial model"

    def say(self, line: str) -> None:
        day, second = divmod(self.clock.now(), DAY)
        minutes = int(second // 60)
        print(
            f"day {day:.0f}, {minutes // 60:02d}:{minutes % 60:02d}: {line}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--artifact", type=pathlib.Path, default="model.tflite")
    parser.add_argument("--state", type=pathlib.Path, default="state")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free.")
    parser.add_argument("--clock", choices=("simulated", "wall"), default="simulated")
    parser.add_argument("--days", type=int, default=10, help="Of the simulated clock.")
    parser.add_argument("--renewed", type=float, default=5.5, help="Day of the drift.")
    parser.add_argument("--pace", type=float, default=0.0, help="Seconds a reading.")
    parser.add_argument("--step-seconds", type=float, default=30.0, help="Simulated.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(options, stop)
    except (FedpError, OSError) as error:
        sys.exit(f"error: {error}")


def run(options: argparse.Namespace, stop: threading.Event) -> None:
    sensor = Sensor(options.seed, renewed=int(options.renewed * DAY / EVERY))
    with Personalizer.open(options.artifact, options.state) as device:
        if options.clock == "wall":
            clock, until = WallClock(stop), float("inf")
        else:
            file = options.state / "clock"
            clock = SimulatedClock(file, options.pace, options.step_seconds)
            until = options.days * DAY
        serve = Answering(device, options.port)
        loop = Loop(device, sensor, clock, serve, stop)
        stored = len(device.examples().ids)
        address = f"http://127.0.0.1:{serve.port}"
        loop.say(f"{address}, live: {loop.live()}, {stored} examples stored")
        try:
            loop.run(until)
        finally:
            serve.close()
        loop.say(f"ends; live: {loop.live()}, {serve.answered} requests answered")


if __name__ == "__main__":
    main()
