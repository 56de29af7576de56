"""A training run: it trains to the end of its budget, and saves, logs and validates on the way."""

import math
import time
from collections.abc import Callable
from typing import Any

from carousel.errors import RunError, option
from carousel.training.budget import Budget
from carousel.training.checkpoint import require_count, require_number
from carousel.training.loop import Loop
from carousel.training.measure import Measure
from carousel.training.progress import Report, Status
from carousel.training.run_folder import CONFIG, LOG, MODEL, STATE, Log, RunFolder, RunGone
from carousel.training.schedule import TrainingPlan
from carousel.training.stopping import StopWish


class Run:
    """Trains a loop to the end of its budget: plans, validates, logs, saves, stops when asked to, resumes.

    validate(): returns the validation loss; the model with the lowest is kept.
    sample(step): returns a text to show beside it, or None.
    planned(loop): called once the number of steps is fixed, and again after resuming.
    measure, validation_measure: turn losses into the figures of the log.
    save_every: a checkpoint is written at each validation, and whenever so many seconds have passed since the last.
    """

    def __init__(
        self,
        loop: Loop,
        folder: RunFolder,
        budget: Budget,
        *,
        validate: Callable[[], float],
        sample: Callable[[int], str | None],
        planned: Callable[[Loop], None],
        measure: Measure,
        validation_measure: Measure,
        report: Report,
        save_every: float = 30.0,
    ) -> None:
        self.loop = loop
        self.folder = folder
        self.budget = budget
        self.validate = validate
        self.sample = sample
        self.planned = planned
        self.measure = measure
        self.validation_measure = validation_measure
        self.report = report
        self.save_every = save_every
        self.best: float | None = None  # validation loss, as `validate` gives it
        self.latest: float | None = None
        self.seconds_before = 0.0  # of training before the last resumption
        self.log_length = 0  # bytes of the log that belong to the last checkpoint
        self.saved_steps: int | None = None  # where the last checkpoint stands
        self._started = self._saved_at = self._trial_started = 0.0
        self._trial_steps = 0
        self._validation_seconds = 0.0

    def resume(self) -> bool:
        """Loads the last checkpoint. Returns False where none was written: then training starts at the beginning.

        Raises RunError for a checkpoint that is lost: to start again would overwrite the weights that were learnt."""
        saved = self.folder.read_state()
        if saved is None:
            self._require_nothing_learnt()
            return False
        try:
            self._load(saved)
        except (KeyError, TypeError, ValueError, RuntimeError) as problem:
            raise RunError(
                f"{self.folder.path / STATE} is not of this run: what it holds does not fit the {CONFIG} beside it "
                f"({str(problem).splitlines()[0][:200]}). One of the two was replaced: put it back, or train again."
            ) from None
        self.saved_steps = self.loop.steps
        if self.loop.plan is not None:
            self.planned(self.loop)
        return True

    def _load(self, saved: dict[str, Any]) -> None:
        """Raises ValueError, and loads nothing, where `saved` is of another run."""
        for name in ("best", "latest"):
            if saved[name] is not None:
                require_number(name, saved[name])
        require_number("seconds", saved["seconds"], least=0)
        require_count("log_length", saved["log_length"])
        planned = self.budget.plan_for_epochs(self.loop.batches.steps_per_epoch)
        plan = saved["loop"]["plan"]
        # An earlier Carousel may have spread the validations otherwise: the run keeps the plan that it began with.
        if planned is not None and isinstance(plan, dict) and plan.get("steps") != planned.steps:
            raise ValueError(f"plan is of {plan!r:.80}, and the settings ask for {planned.steps:,} steps")
        self.loop.load_state_dict(saved["loop"])
        self.best, self.latest, self.seconds_before = saved["best"], saved["latest"], saved["seconds"]
        self.log_length = saved["log_length"]

    def _require_nothing_learnt(self) -> None:
        path = self.folder.path
        steps = max((line.get("step", 0) for line in self.folder.log_lines()), default=0)
        model = (path / MODEL).exists()
        if steps or (model and not (path / LOG).exists()):
            what = f"It was trained for {steps:,} steps" if steps else "It was trained"
            kept = f"; its best weights remain in {MODEL}, and can be used as they are" if model else ""
            raise RunError(
                f"{path} cannot be continued: it has no {STATE}, which says where training stood. {what}{kept}. "
                f"Put the file back, or start a new run in another folder ({option('out')})."
            )

    def train(self) -> None:
        """Trains to the end of the budget.

        Raises KeyboardInterrupt after SIGINT and SystemExit(143) after SIGTERM, once the step is finished and
        saved; RunError when the folder cannot be written to, or when a loss or weight is no longer a number, which is
        never saved.
        """
        with StopWish() as wish:
            self._started = self._saved_at = time.monotonic()
            self._trial_steps = 0
            self.folder.hold()
            self.log = Log(self.folder, self.log_length, steps=self.loop.steps, say=self.report.say)
            self.folder.tidy()
            try:
                if self.log.lost:
                    self.report.say(
                        f"{self.folder.path / LOG} is shorter than at the last checkpoint: {self.log.lost:,} bytes of "
                        f"losses and samples are lost, and nothing of the training is"
                    )
                self._train(wish)
            except RunGone as problem:
                raise RunError(f"{problem} {self._rescued()}") from None
            finally:
                self.report.pause()
                self.log.close()
        wish.raise_if_any(f"stopped at step {self.loop.steps}")

    def _train(self, wish: StopWish) -> None:
        loop = self.loop
        self.report.tick(self._status)  # the first validation takes a while: show something before it
        if self.best is None:
            self._validate()
            if plan := self.budget.plan_for_epochs(loop.batches.steps_per_epoch):
                self._set_plan(plan)
            self._save()
        while not loop.finished and wish.signal is None:
            loop.step()
            if loop.plan is None:
                self._time_trial()
            self._log_if_due()
            if loop.plan is not None and loop.plan.validates_at(loop.steps):
                self._validate()
                self._save()
            elif time.monotonic() - self._saved_at > self.save_every:
                self._save()
            self.report.tick(self._status)
        if wish.signal is not None:
            self._save()

    def _rescued(self) -> str:
        """Saves the weights beside the folder, which is gone. Returns a sentence that says what was saved where."""
        steps = f"after step {self.loop.steps:,}"
        if not self.folder.kept or not self.loop.sound:
            return f"Training stopped {steps}; nothing of it is kept."
        try:
            beside = self.folder.begin_again()
            beside.write_model(self.loop.model.state_dict())
        except (OSError, RunError) as problem:
            return f"Training stopped {steps}, and its weights could not be saved beside it: {problem}"
        return (
            f"Training stopped {steps}. The weights as they were then are in {beside.path}, and can be used as they "
            f"are; the best ones and the last checkpoint are lost, so the training cannot go on from there."
        )

    # -- planning -------------------------------------------------------------------------------------------

    def _time_trial(self) -> None:
        """Times the first steps of a budget in minutes, and fixes the number of steps after enough of them."""
        now = time.monotonic()
        self._trial_steps += 1
        if self._trial_steps == 3:  # the first steps also set up threads, caches and the optimizer's memory
            self._trial_started = now
        if self._trial_steps < 6 or now - self._trial_started < self.budget.trial_seconds:
            return
        plan = self.budget.plan_for_minutes(
            steps=self.loop.steps,
            elapsed=self._elapsed(),
            step_seconds=(now - self._trial_started) / (self._trial_steps - 3),
            validation_seconds=self._validation_seconds,
        )
        self._set_plan(plan)
        self._save()

    def _set_plan(self, plan: TrainingPlan) -> None:
        self.loop.plan = plan
        self.planned(self.loop)

    # -- logging, validating, saving ------------------------------------------------------------------------

    def _log_if_due(self) -> None:
        every = self.loop.plan.log_every if self.loop.plan else 10
        if self.loop.steps % every == 0 or self.loop.finished:
            loss = self.loop.take_mean_loss()
            self._require_sound(math.isfinite(loss), f"the training loss is {loss}")
            self._log(train=self.measure(loss))

    def _validate(self) -> None:
        before = time.monotonic()
        self.latest = self.validate()
        self._require_sound(math.isfinite(self.latest), f"the validation loss is {self.latest}")
        sample = self.sample(self.loop.steps)
        if self.best is None or self.latest < self.best:
            self.best = self.latest
            self.folder.write_model(self.loop.model.state_dict())
        self._log(validation=self.validation_measure(self.latest), sample=sample)
        self._validation_seconds = time.monotonic() - before
        self.report.validated(self._status(), sample)

    def _log(self, **values: Any) -> None:
        self.log.write(
            step=self.loop.steps,
            tokens=self.loop.batches.units_read,
            epoch=round(self.loop.epochs, 4),
            **values,
            seconds=round(self._elapsed(), 2),
        )

    def _require_sound(self, sound: bool, found: str) -> None:
        if not sound:
            kept = f"{STATE} keeps the last good checkpoint, {MODEL} the best weights. "
            raise RunError(
                f"The training of {self.folder.path} has diverged: after step {self.loop.steps:,} {found}. "
                f"{kept if self.saved_steps is not None and self.folder.kept else ''}"
                f"Start a new run with a lower learning rate; this one's was {self.loop.peak_rate:g} at its peak."
            )

    def _save(self) -> None:
        self._require_sound(self.loop.sound, "a loss or a weight is not finite")
        log_length = self.log.sync()  # first: the state must not remember more of the log than the disk does
        self.folder.write_state(
            {
                "loop": self.loop.state_dict(),
                "best": self.best,
                "latest": self.latest,
                "seconds": self._elapsed(),
                "log_length": log_length,
            }
        )
        self._saved_at = time.monotonic()
        self.saved_steps = self.loop.steps

    # -- clock and status -----------------------------------------------------------------------------------

    def _elapsed(self) -> float:
        return self.seconds_before + time.monotonic() - self._started

    def _status(self) -> Status:
        loop = self.loop
        return Status(
            step=loop.steps,
            steps=loop.plan.steps if loop.plan else None,
            tokens=loop.batches.units_read,
            epoch=loop.epochs,
            seconds=self._elapsed(),
            train=self.measure(loop.recent_loss.item()) if loop.steps else None,
            validation=self.validation_measure(self.latest) if self.latest is not None else None,
            best=self.validation_measure(self.best) if self.best is not None else None,
        )
