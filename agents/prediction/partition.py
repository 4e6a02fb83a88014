"""What predict does with one partition: the way of an event from raw bytes to its prediction.

clean ▸ deduplicate ▸ features ▸ score ▸ drift ▸ label join

Everything of a partition that must survive a crash is in its tables, whose changes travel in the
batch's own transaction. Time is an argument.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from confluent_kafka import Message

from agents.dead_letter_limit import note_dead_letters
from agents.entities.entity_states import FORGET_BESIDE_NEW, EntityStates
from agents.isolation import process_apart
from agents.kafka.batch import Batch
from agents.prediction.drift_watch import DriftWatch
from agents.prediction.partition_outputs import PartitionOutputs
from agents.prediction.predict_plan import BY_MODELS, Answer, PredictPlan, Twin
from agents.prediction.served_models import Served
from agents.prediction.spilled_states import SpillCounts
from agents.prediction.user_states import UserStates
from schemas.errors import InvalidRecord
from schemas.events import UserEvent
from streams.deduplicate import Deduplicator, segment_table
from streams.early_labels import early_labels_table
from streams.fates import Fates
from streams.feature_set import CompiledView
from streams.label_join import LabelJoin
from streams.pending import Pending, pack_features, pending_table
from streams.positives import positives_table
from streams.revisions import settled_table
from streams.state import PartitionState, Table
from streams.told_values import told_values_table
from streams.watermark import Watermark

WARM_USERS: Final = 10_000
"""Users whose state stays decoded between batches."""
_DRIFT: Final = "drift2"
_FORMER_DRIFT: Final = "drift"
"""Written by earlier versions; nothing in it is of use."""
_ACTIONS: Final = "actions"
_REVIEW: Final = "review"
_NEWEST: Final = "newest"
_NOBODY: Final[Mapping[str, dict[str, float]]] = {}


class Partition:
    """The state of one partition, and what a batch does with it.

    Restored record by record from the changelog (`agents.kafka.keyed_state.Restoring`).
    """

    def __init__(self, number: int, plan: PredictPlan) -> None:
        self.number = number
        self._plan = plan
        self._twin: Twin | None = None
        """The champion's, as of the batch in hand."""
        self._awaits_twin = False
        """Whether it is not here yet; one that is here and of no use is none."""
        self._singles: Table[bytes] = Table("s", bytes, bytes)
        self._spilled = plan.new_spilled_states()
        self._states = UserStates(plan.fold, self._singles, warm=WARM_USERS, encoded=self._spilled)
        self._users = self._states.table
        self._entities = EntityStates(plan.features.of_user, self._singles, warm=WARM_USERS)
        self._segments = segment_table()
        self._pending = pending_table()
        self._positives = positives_table()
        self._early_labels = early_labels_table()
        self._settled = settled_table()
        self._told_values = told_values_table()
        self._touched_entities: dict[str, tuple[CompiledView, int, dict[str, float]]] = {}
        """By key: those of the part of a batch that is in hand."""
        self._marks: Table[int] = Table("w", b"%d".__mod__, int)
        self._state = PartitionState(
            # At least once, a crash may cut a batch's changes short.
            [
                # First: how to read users' states must be known by then.
                self._singles,
                self._users,
                self._entities,
                self._pending,
                self._positives,
                self._early_labels,
                self._settled,
                self._told_values,
                self._marks,
                # Last: an event whose other traces are missing must not count as seen.
                self._segments,
            ]
        )

    # ---- restore -------------------------------------------------------------------------------

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take over one changelog record."""
        self._state.restore(key, value)

    def complete(self) -> None:
        """Build what is derived from the tables."""
        pipeline = self._plan.pipeline
        self._deduplicator = Deduplicator(
            self._segments, retention=pipeline.deduplication, capacity=pipeline.max_event_ids
        )
        self._join = LabelJoin(
            pipeline.label,
            self._pending,
            self._positives,
            self._early_labels,
            self._settled,
            told=self._told_values,
            capacity=pipeline.max_pending,
        )
        self._told_fates = msgspec.structs.astuple(self._join.fates)
        self._told_crowded_out = 0
        self._told_begun_anew = self._states.n_begun_anew + self._entities.n_begun_anew
        self._states.read_layouts()
        self._entities.read_layouts()
        self._read_singles()

    def _read_singles(self) -> None:
        self._drift = self._plan.drift_watch(self._singles.get(_DRIFT))
        self._actions = self._plan.action_mix(self._singles.get(_ACTIONS))
        self._newest_ms = self._marks.get(_NEWEST) or 0
        self._watermark = Watermark(self._plan.pipeline.allowed_lateness)
        self._watermark.advance(self._newest_ms)
        self._has_watched = False
        self._reviews = self._plan.review_sampler(self.number, self._singles.get(_REVIEW))

    # ---- process -------------------------------------------------------------------------------

    def process_events(self, batch: Batch, serving: dict[str, Served], now_ms: int) -> None:
        """Predict every event of a batch; emit what follows from them.

        Raises
        ------
        TooManyDeadLetters
            The batch must not be committed.
        """
        self._twin = self._plan.twin(serving)
        self._awaits_twin = self._plan.deployed.roles.twin not in serving
        process_apart(
            batch,
            lambda part: self._process_events(part, serving, now_ms),
            undo=self._undo,
            set_aside=lambda record, error: self._set_aside(batch, record, error, now_ms),
        )
        self._plan.metrics.events(len(batch))

    def process_labels(self, batch: Batch, now_ms: int) -> None:
        """Join a batch of labels with the predictions that wait for them; raises likewise."""
        process_apart(
            batch,
            lambda part: self._process_labels(part, now_ms),
            undo=self._undo,
            set_aside=lambda record, error: self._set_aside(batch, record, error, now_ms),
        )
        self._plan.metrics.labels(len(batch))

    def _process_events(self, batch: Batch, serving: dict[str, Served], now_ms: int) -> None:
        plan = self._plan
        clean, predict = plan.events.clean, self._predict
        is_handed_on = bool(plan.features.gathered)
        deduplicator, watermark = self._deduplicator, self._watermark
        outputs = PartitionOutputs(plan, batch, now_ms)
        answering = plan.answering(serving)
        unnamed = f"{batch.tp.topic}-{batch.tp.partition}-"
        touched: dict[str, dict[str, float]] = {}
        self._touched_entities.clear()
        all_features: list[dict[str, float]] = []
        scores: list[float] = []
        served: list[UserEvent] = []
        refused: list[InvalidRecord] = []

        for record in batch:
            _, published_ms = record.timestamp()
            key = record.key()
            if record.headers() or outputs.trace is not None:
                outputs.begin(record)
            try:
                # A publisher whose clock is ahead must not take the watermark along.
                event = clean(key, record.value(), published_at_ms=min(published_ms, now_ms))
            except InvalidRecord as invalid:
                outputs.dead_letter(record, invalid)
                refused.append(invalid)
                continue
            at_ms: int = event.ts  # type: ignore[assignment]  # milliseconds, once cleaned
            newest_ms = max(self._newest_ms, at_ms)
            if event.event_id is None:
                # Unique by construction: nothing to remember.
                event.event_id = f"{unnamed}{record.offset()}"
            elif not deduplicator.is_new(event.event_id, newest_ms):
                outputs.duplicate()
                continue
            self._newest_ms = newest_ms
            is_late = watermark.is_late(at_ms)
            watermark.advance(at_ms)

            variant, answer = answering(event.user_id)  # type: ignore[arg-type]  # text, once cleaned
            answer, of_user, features, score = predict(event, answer, outputs, is_late=is_late)
            touched[event.user_id] = of_user  # type: ignore[index]  # text, once cleaned
            all_features.append(features)
            if is_handed_on:
                self._hand_on(event, outputs)
            scores.append(score)
            served.append(event)
            outputs.prediction(
                *(event, answer, score, published_ms, key), variant=variant, is_late=is_late
            )
            if plan.is_sampled():
                outputs.shadow_predictions(event, serving, features)

        outputs.outcomes(self._join.advance(watermark.at_ms), self._join.traces)
        for entity, (view, as_of_ms, features) in self._touched_entities.items():
            outputs.entity_features(view, entity, as_of_ms, features)
        self._end(batch, outputs, touched)
        plan.metrics.predicted(scores, outputs.n_duplicates, outputs.n_late)
        plan.metrics.served(all_features)
        plan.metrics.quality(
            plan.quality.judge(
                served, refused, duplicates=outputs.n_duplicates, late=outputs.n_late
            )
        )

    def _predict(
        self, event: UserEvent, answer: Answer, outputs: PartitionOutputs, *, is_late: bool
    ) -> tuple[Answer, dict[str, float], dict[str, float], float]:
        """Take an event into the user's features, score it, and let the prediction wait.

        Returns who answers, the user's features, all features, and the score.
        """
        plan, users, join = self._plan, self._users, self._join
        fold = plan.fold
        user_id: str = event.user_id  # type: ignore[assignment]  # text, once cleaned
        at_ms: int = event.ts  # type: ignore[assignment]  # milliseconds, once cleaned
        if is_late:  # what the watermark decided stays so, wherever batches are cut
            outputs.outcomes(join.advance(self._watermark.at_ms), join.traces)
        if settled := join.observe(user_id, event.action, at_ms, plan.told_by(event)):
            outputs.outcomes(settled, join.traces)

        user = users.get(user_id)
        if user is None:
            user = fold.new()
            users.put(user_id, user)
        else:
            users.mark(user_id)
        is_visit = at_ms - user.last_ms >= plan.visit_gap_ms
        of_user = fold.update(user, event)
        features = self._with_entities(event, of_user) if plan.features.views else of_user
        if (span := outputs.span) is not None:
            span.mark("features")
        if answer.routes:
            answer = answer.routed(features)
        prediction_id = f"{plan.prediction_prefix}{event.event_id}"
        choice = answer.choice
        score = answer.score(features) if choice is None else choice.choose(prediction_id, features)
        if span is not None:
            span.mark("score")
        self._watch_actions(event, answer, outputs, begins_visit=is_visit)
        if is_visit and self.watches_scores:
            own = score if answer.is_warm and answer.source in BY_MODELS else None
            self._watch(event, answer, own, features, outputs)

        if not is_late:  # else its label may have gone by: it would teach what is not so
            stands_for = None
            if self._reviews is not None:
                stands_for = self._review(event, answer, score, features, outputs)
            prediction = Pending(
                prediction_id,
                event.event_id or "",
                plan.pipeline.use_case,
                user_id,
                at_ms,
                score,
                answer.model,
                answer.version,
                plan.features.schema,
                pack_features(features.values()),
                plan.label_target,
                stands_for=stands_for,
                trace=outputs.sampled,
                begins_visit=is_visit,
            )
            if choice is not None:
                prediction.arm, prediction.propensity = choice.arm, choice.propensity
                prediction.arms = choice.arms
            outcome = join.enrol(prediction)
            if outcome is not None:
                outputs.outcomes((outcome,), join.traces)
        return answer, of_user, features, score

    def _review(
        self,
        event: UserEvent,
        answer: Answer,
        score: float,
        features: dict[str, float],
        outputs: PartitionOutputs,
    ) -> float | None:
        """Let people judge a decision, perhaps; tell how many others it then stands for."""
        if self._reviews is None or answer.source == "default":
            return None
        prediction_id = f"{self._plan.prediction_prefix}{event.event_id}"
        p = self._reviews.choose(prediction_id, score, at_ms=self._newest_ms)
        if p is None:
            return None
        outputs.review_item(event, answer, score, features, probability=p)
        return 1.0 / p if self._plan.weighs_verdicts else None

    def _watch(
        self,
        event: UserEvent,
        answer: Answer,
        own: float | None,
        features: dict[str, float],
        outputs: PartitionOutputs,
    ) -> None:
        """Let the first event of a visit tell whether the scores have changed.

        Those of the champion's twin do; before there ever was one, or where it is of no use, those
        of who answered. `own` is the score of who answered, if it is one to be watched.
        """
        drift, twin, segments = self._drift, self._twin, self._plan.segments
        if twin is not None:
            score = twin.scorer.score(features)
            if twin.scorer.degraded_reason is not None:
                return
            reason = drift.begin(
                *(twin.name, twin.created_at_ms), answered="" if own is None else answer.reference
            )
        elif own is None:
            return
        elif self._awaits_twin and drift.is_of_twin(self._plan.deployed.roles.twin):
            return  # what it said is no reference for others, and it will be back
        else:
            score = own
            reason = drift.begin(answer.reference)
            own = None
        self._has_watched = True
        if reason is not None:
            outputs.drift_resets.append(reason)
        at_ms: int = event.ts  # type: ignore[assignment]  # milliseconds, once cleaned
        alarm = drift.watch(
            *(score, own, at_ms),
            segments=segments.of(features),
            names=segments.names,
            of_class=None if twin is None else getattr(twin.scorer, "prediction", None),
        )
        if alarm is not None:
            outputs.drift_alert(alarm, event, answer)

    def _watch_actions(
        self, event: UserEvent, answer: Answer, outputs: PartitionOutputs, *, begins_visit: bool
    ) -> None:
        """Let each event tell whether users do what they hardly did."""
        if self._actions is None:
            return
        user_id: str = event.user_id  # type: ignore[assignment]  # text, once cleaned
        at_ms: int = event.ts  # type: ignore[assignment]  # milliseconds, once cleaned
        moved = self._actions.update(event.action, user_id, at_ms, begins_visit=begins_visit)
        if moved is not None:
            outputs.action_alert(*moved, event, answer)

    def _with_entities(self, event: UserEvent, of_user: dict[str, float]) -> dict[str, float]:
        """Join a user's features with those of what else the event is about.

        An entity of the user is as of this very event; one whose events come from all partitions
        is as known by now, this event not included.
        """
        features = of_user.copy()
        plan = self._plan
        for view in plan.features.of_user:
            key = view.key(event)
            if key is None:
                features |= zip(view.names, view.absent, strict=True)
                continue
            as_of_ms, of_entity = self._entities.update(view, key, event)
            self._touched_entities[key] = (view, as_of_ms, of_entity)
            features |= zip(view.names, of_entity.values(), strict=True)
        for view in plan.features.gathered:
            known = plan.known_entities.features(view, view.key(event))
            features |= zip(view.names, known, strict=True)
        return features

    def _hand_on(self, event: UserEvent, outputs: PartitionOutputs) -> None:
        """Let the event reach those entities whose features are kept elsewhere."""
        keys = [view.key(event) for view in self._plan.features.gathered]
        outputs.entity_events(event, [key for key in keys if key is not None])

    def _process_labels(self, batch: Batch, now_ms: int) -> None:
        clean = self._plan.labels.clean
        outputs = PartitionOutputs(self._plan, batch, now_ms)
        for record in batch:
            _, published_ms = record.timestamp()
            outputs.begin(record)
            try:
                label = clean(
                    record.key(), record.value(), published_at_ms=min(published_ms, now_ms)
                )
            except InvalidRecord as invalid:
                outputs.dead_letter(record, invalid)
                continue
            outcome = self._join.label(label)
            if outcome is not None:
                outputs.outcomes((outcome,), self._join.traces)
            if outputs.span is not None:
                outputs.span.mark("join")
        self._end(batch, outputs)

    def _set_aside(self, batch: Batch, record: Message, error: Exception, now_ms: int) -> None:
        """Let a record be a dead letter that made the code raise, and was undone."""
        outputs = PartitionOutputs(self._plan, batch, now_ms)
        outputs.begin(record)
        outputs.dead_letter(record, error)
        self._log_changes(batch, outputs, [record])

    def _undo(self) -> None:
        """Take back what was changed since `_log_changes`."""
        self._join.undo()
        self._join.fates = Fates(*self._told_fates)
        self._deduplicator.undo()
        self._deduplicator.n_crowded_out = self._told_crowded_out
        self._state.undo()
        self._states.n_begun_anew = self._told_begun_anew - self._entities.n_begun_anew
        self._read_singles()

    def _end(
        self,
        batch: Batch,
        outputs: PartitionOutputs,
        touched: Mapping[str, dict[str, float]] = _NOBODY,
    ) -> None:
        """Emit what changed in this partition's state, so that it commits with the batch.

        `touched` has the users whose state changed, with their features.
        """
        self._deduplicator.seal()
        self._forget_inactive(outputs, len(batch) + FORGET_BESIDE_NEW)
        self._states.write_layout()
        self._entities.write_layouts()
        if self._newest_ms != self._marks.get(_NEWEST):
            self._marks.put(_NEWEST, self._newest_ms)
        if self._has_watched:  # its count would not tell: an alarm sets it back
            self._has_watched = False
            self._singles.put(_DRIFT, self._drift.encode())
            self._singles.delete(_FORMER_DRIFT)
        if self._actions is not None and touched:
            self._singles.put(_ACTIONS, self._actions.encode())
        if self._reviews is not None and self._reviews.has_changed:
            self._singles.put(_REVIEW, self._reviews.encode())
        self._log_changes(batch, outputs, touched=touched)
        fates = msgspec.structs.astuple(self._join.fates)
        n_crowded_out = self._deduplicator.n_crowded_out
        if n_crowded_out != self._told_crowded_out:
            self._plan.metrics.crowded_out(n_crowded_out - self._told_crowded_out)
            self._told_crowded_out = n_crowded_out
        n_begun_anew = self._states.n_begun_anew + self._entities.n_begun_anew
        if n_begun_anew != self._told_begun_anew:
            self._plan.metrics.begun_anew(n_begun_anew - self._told_begun_anew)
            self._told_begun_anew = n_begun_anew
        if fates != self._told_fates:
            self._plan.metrics.fates(self._join.fates, self._told_fates)
            self._told_fates = fates

    def _log_changes(
        self,
        batch: Batch,
        outputs: PartitionOutputs,
        records: Sequence[Message] | None = None,
        *,
        touched: Mapping[str, dict[str, float]] = _NOBODY,
    ) -> None:
        """Emit what changed, from where there is no way back but a crash.

        `records` are those of the batch that changed it; by default all of them.
        """
        note_dead_letters(
            self._singles,
            batch.tp,
            batch.records if records is None else records,
            dict(outputs.set_aside),
            limit=self._plan.dead_letter_limit,
        )
        changelog, emit, number = self._plan.topics.state, batch.emit, self.number
        staged = self._state.staged()
        changes = [change for of_table in staged for change in of_table]
        if touched:
            self._tell_features(outputs, touched, dict(changes))
        self._state.log(staged)
        for key, value in changes:
            emit(changelog, value, key, partition=number)
        # Told now: what is undone is not counted.
        self._plan.dead_letters.count(reason for _, reason in outputs.set_aside)
        self._plan.metrics.outcomes(outputs.labels)
        self._plan.metrics.degraded(outputs.degraded)
        self._plan.metrics.reviews(outputs.n_reviews)
        self._plan.metrics.bad_traceparents(outputs.n_bad_traceparents)
        self._join.traces.clear()
        outputs.end_spans()
        for alarm in outputs.alarms:
            self._plan.metrics.drift_alarm(number, alarm)
        for reason in outputs.drift_resets:
            self._plan.metrics.drift_reset(number, reason)

    def _tell_features(
        self,
        outputs: PartitionOutputs,
        touched: Mapping[str, dict[str, float]],
        encoded: Mapping[bytes, bytes | None],
    ) -> None:
        """Tell the store of features, with the states as they are being logged: encoded once."""
        prefix, last_event_ms = self._users.prefix, self._plan.fold.last_event_ms
        for user_id, features in touched.items():
            state = encoded.get(f"{prefix}{user_id}".encode())
            if state is not None:  # else so late that the user was forgotten
                outputs.feature_update(user_id, last_event_ms(state), features, state)

    def _forget_inactive(self, outputs: PartitionOutputs, most: int) -> None:
        """Forget users and entities whose last event no window reaches any more."""
        users, last_event_ms = self._users, self._plan.fold.last_event_ms
        horizon_ms = self._watermark.at_ms - self._plan.retention_ms
        for _ in range(most):
            user_id = users.oldest()
            raw = None if user_id is None else users.raw(user_id)
            if user_id is None or raw is None or last_event_ms(raw) >= horizon_ms:
                break
            users.delete(user_id)
            outputs.forgotten(user_id)
        for key in self._entities.forget_inactive(self._watermark.at_ms, most):
            outputs.entity_forgotten(key)

    # ---- what is told --------------------------------------------------------------------------

    @property
    def watches_scores(self) -> bool:
        """Whether they are watched here: once there is a twin, `learn` may be asked to."""
        return self._twin is None or not self._plan.watches_together

    @property
    def drift(self) -> DriftWatch:
        """What watches the scores of this partition."""
        return self._drift

    def spilled(self) -> SpillCounts | None:
        """Tell where users' states are, if not all of them are in memory."""
        return None if self._spilled is None else self._spilled.counts()

    def entries(self) -> dict[str, int]:
        """Count what is remembered, by table."""
        return {
            "users": len(self._users),
            "entities": len(self._entities),
            "pending": len(self._join),
            "early_labels": self._join.n_early,
            "revisable": self._join.n_revisable,
            "event_ids": len(self._deduplicator),
        }
