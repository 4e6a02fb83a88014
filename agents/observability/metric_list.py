"""Every metric of the product. `docs/metrics.md` is generated from here.

A metric that is not in this list cannot be written, and a misspelt one is a type error.
"""

from collections.abc import Mapping
from typing import Final

from agents.observability.metric_spec import (
    CounterSpec,
    GaugeSpec,
    HistogramSpec,
    MetricSpec,
    markdown_table,
)

# 1-2-5 steps are fine enough to read a percentile off; the latency promise is at 50 ms, so the
# buckets around it are finer.
MILLISECONDS: Final = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
    *(5.0, 10.0),
)
LATENCY: Final = (
    *(0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.0125, 0.015, 0.02, 0.025, 0.03),
    *(0.035, 0.04, 0.045, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0),
)
MICROSECONDS: Final = (
    *(1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 5e-2),
)
DELAYS: Final = (
    *(1.0, 10.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 43_200.0, 86_400.0),
    *(172_800.0, 604_800.0, 1_209_600.0, 2_592_000.0, 7_776_000.0),
)
SCORE_BUCKETS: Final = 20

# --- the process ----------------------------------------------------------------------------------

UP: Final = GaugeSpec("thalweg_up", "1 or 0", "The process runs; 0 in its last words.")
READY: Final = GaugeSpec("thalweg_ready", "1 or 0", "Records can flow through the process.")
GC_PAUSE_SECONDS: Final = HistogramSpec(
    "thalweg_gc_pause_seconds",
    "seconds",
    "How long Python's garbage collector stopped the process.",
    buckets=MILLISECONDS,
)

# --- events and predictions -----------------------------------------------------------------------

EVENTS: Final = CounterSpec(
    "thalweg_events_total",
    "records",
    "Records taken in, valid or not; those that a worker had in hand when it was killed count again"
    " with its successor. Topics are named without the environment's prefix.",
    ("topic",),
)
PREDICTIONS: Final = CounterSpec("thalweg_predictions_total", "records", "Predictions made.")
DEGRADED: Final = CounterSpec(
    "thalweg_degraded_total",
    "predictions",
    "Predictions that say in `degraded` why they are less than the best; each reason counts.",
    ("reason",),
)
DUPLICATES: Final = CounterSpec(
    "thalweg_duplicates_total", "records", "Events dropped because their id was seen before."
)
EVENT_IDS_CROWDED_OUT: Final = CounterSpec(
    "thalweg_event_ids_crowded_out_total",
    "ids",
    "Event ids forgotten before their time for lack of room: their duplicates would pass for new.",
)
LATE_EVENTS: Final = CounterSpec(
    "thalweg_late_events_total",
    "records",
    "Events older than the watermark; still scored, and counted in their own windows.",
)
BAD_TRACEPARENTS: Final = CounterSpec(
    "thalweg_bad_traceparents_total",
    "records",
    "Events and labels whose `traceparent` is none of W3C Trace Context: it was ignored.",
)
DEAD_LETTERS: Final = CounterSpec(
    "thalweg_dead_letters_total", "records", "Records set aside in `dead-letters`.", ("reason",)
)
SCORES: Final = HistogramSpec(
    "thalweg_score_ratio",
    "probability",
    "Scores as served.",
    buckets=tuple(step / SCORE_BUCKETS for step in range(1, SCORE_BUCKETS + 1)),
)
LABELS: Final = CounterSpec(
    "thalweg_labels_total",
    "labels",
    "Predictions and labels by what became of them: positive, negative, late, unknown ...",
    ("fate",),
)
REVIEWS_QUEUED: Final = CounterSpec(
    "thalweg_reviews_queued_total", "decisions", "Decisions that people should judge."
)
OUTCOMES: Final = CounterSpec(
    "thalweg_outcomes_total",
    "outcomes",
    "Predictions whose label became known, by label (`some`: a class or an amount), or of which"
    " nothing was said where that is no label (`none`).",
    ("label",),
)

# --- data quality ---------------------------------------------------------------------------------

QUALITY_CHECKS: Final = CounterSpec(
    "thalweg_quality_checks_total",
    "events",
    "Predicted events whose value of an expected field was looked at.",
    ("field",),
)
QUALITY_NULLS: Final = CounterSpec(
    "thalweg_quality_nulls_total",
    "events",
    "Those of them that had none, be it a finding or not.",
    ("field",),
)
QUALITY_FINDINGS: Final = CounterSpec(
    "thalweg_quality_findings_total",
    "events",
    "Predicted events that break an expectation, and events set aside by their reason; the field is"
    " `*` where none is to blame.",
    ("field", "finding"),
)
FEATURES_MISSING: Final = CounterSpec(
    "thalweg_features_missing_total",
    "predictions",
    "Predictions for which a feature stood at its default, since what it reads of the event was"
    " null.",
    ("feature",),
)
FEATURES_DEFAULT: Final = CounterSpec(
    "thalweg_features_default_total",
    "predictions",
    "Predictions for which a remembered feature was what it is without events; see"
    " `docs/data-quality.md`.",
    ("feature",),
)
QUALITY_SCORE: Final = GaugeSpec(
    "thalweg_quality_score_ratio",
    "share",
    "Share of checks of the latest events without a finding; see `docs/data-quality.md`.",
    ("use_case",),
)
QUALITY_NULL_RATIO: Final = GaugeSpec(
    "thalweg_quality_null_ratio",
    "share",
    "Share of the latest events in which an expected field is null.",
    ("field", "use_case"),
)
QUALITY_FINDING_RATIO: Final = GaugeSpec(
    "thalweg_quality_finding_ratio",
    "share",
    "Share of the latest events with a finding, or a reason to be set aside; the field is `*` where"
    " none is to blame.",
    ("field", "finding", "use_case"),
)
FEATURES_MISSING_RATIO: Final = GaugeSpec(
    "thalweg_features_missing_ratio",
    "share",
    "Share of the latest predictions for which a feature stood at its default, since what it reads"
    " of the event was null.",
    ("feature", "use_case"),
)

# --- batches, transactions, partitions ------------------------------------------------------------

PROCESSING_SECONDS: Final = HistogramSpec(
    "thalweg_batch_processing_seconds",
    "seconds",
    "Time to process one batch, without its commit.",
    buckets=MILLISECONDS,
)
BATCH_RECORDS: Final = HistogramSpec(
    "thalweg_batch_records",
    "records",
    "Records of one partition taken in together.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000),
)
TRANSACTION_SECONDS: Final = HistogramSpec(
    "thalweg_transaction_seconds",
    "seconds",
    "Time from the first output of a transaction to its commit.",
    buckets=MILLISECONDS,
)
TRANSACTIONS: Final = CounterSpec(
    "thalweg_transactions_total",
    "transactions",
    "Transactions by result: committed; retried after an abort or with a new producer.",
    ("result",),
)
IN_FLIGHT_RECORDS: Final = GaugeSpec(
    "thalweg_in_flight_records", "records", "Records taken in whose batch is not committed yet."
)
ASSIGNED_PARTITIONS: Final = GaugeSpec(
    "thalweg_assigned_partitions", "partitions", "Partitions this process owns now."
)
REBALANCES: Final = CounterSpec(
    "thalweg_rebalances_total", "rebalances", "Times the assignment of partitions changed."
)

# --- keyed state ----------------------------------------------------------------------------------

STATE_ENTRIES: Final = GaugeSpec(
    "thalweg_state_entries", "entries", "Keys remembered, over all partitions.", ("table",)
)
SPILL_USERS: Final = GaugeSpec(
    "thalweg_state_spill_users",
    "users",
    "Users whose states are in memory, and on the disk of `THALWEG_STATE_SPILL`.",
    ("place",),
)
SPILL_READS: Final = CounterSpec(
    "thalweg_state_spill_reads_total",
    "reads",
    "Looks for a user's state on that disk, found or not; one user of a batch may take several.",
)
SPILL_WRITES: Final = CounterSpec(
    "thalweg_state_spill_writes_total",
    "users",
    "Users' states that were put on that disk, those of a restore included.",
)
STATES_BEGUN_ANEW: Final = CounterSpec(
    "thalweg_states_begun_anew_total",
    "users",
    "Users whose state is of a feature schema that is not known any more: they begin with nothing.",
)
RESTORE_PROGRESS: Final = GaugeSpec(
    "thalweg_restore_progress_ratio",
    "share",
    "How much of the changelogs has been read back; 1 when state is complete.",
)
RESTORED_KEYS: Final = CounterSpec(
    "thalweg_restored_keys_total", "records", "Changelog records read back on assignment."
)

STANDBY_PARTITIONS: Final = GaugeSpec(
    "thalweg_standby_partitions",
    "partitions",
    "Partitions of other workers whose state is kept here too, up to date.",
)

# --- drift ----------------------------------------------------------------------------------------

DRIFT_STATISTIC: Final = GaugeSpec(
    "thalweg_drift_statistic",
    "1",
    "The evidence that the signal has moved: the logarithm (base 10) of what the detector's bets on"
    " it own, in scores or in hours, as the pipeline's `DriftPolicy` counts.",
    ("partition", "signal"),
)
DRIFT_THRESHOLD: Final = GaugeSpec(
    "thalweg_drift_threshold",
    "1",
    "The logarithm of the budget: an alarm is raised when the evidence of all signals together"
    " reaches it.",
    ("partition", "signal"),
)
DRIFT_MEAN: Final = GaugeSpec(
    "thalweg_drift_mean",
    "1",
    "Recent mean of the scores (`score_mean`), or of their distance from the mean they had"
    " (`score_spread`), or the share of them among the lowest and highest fiftieth (`score_tail`)."
    " Of answers, over all partitions and under that of `outcomes`: what came less what the twin"
    " said (`answer_mean`), or the square of that (`answer_error`).",
    ("partition", "signal"),
)
DRIFT_REFERENCE: Final = GaugeSpec(
    "thalweg_drift_reference", "1", "The mean it is held against.", ("partition", "signal")
)
DRIFT_RESETS: Final = CounterSpec(
    "thalweg_drift_resets_total",
    "resets",
    "Detectors that began anew because another model serves (`model`), or the same one with other"
    " features (`schema`).",
    ("partition", "reason"),
)
DRIFT_ALARMS: Final = CounterSpec(
    "thalweg_drift_alarms_total", "alarms", "Drift alarms raised.", ("partition", "signal")
)

# --- models ---------------------------------------------------------------------------------------

BASELINE_RATE: Final = "baseline_base_rate"
BASELINE_LAST_CLASS: Final = "baseline_last_class"
BASELINES: Final = (BASELINE_RATE, BASELINE_LAST_CLASS)
"""Values of the label `model`: what a model must beat on the same outcomes."""

SHIFT_INDEX: Final = GaugeSpec(
    "thalweg_shift_index",
    "index",
    "Population stability index of a signal's last day against its reference; `model` of scores.",
    ("model", "signal"),
)
SHIFT_INDEX_BY_CHANCE: Final = GaugeSpec(
    "thalweg_shift_index_by_chance",
    "index",
    "What the index would be on average if nothing had changed.",
    ("model", "signal"),
)
SHIFT_EVIDENCE: Final = GaugeSpec(
    "thalweg_shift_evidence",
    "powers of ten",
    "How improbable the last day is if nothing had changed, of all signals: 3 is 1 to 1,000.",
    ("model", "signal"),
)
SHIFT_LEVEL: Final = GaugeSpec(
    "thalweg_shift_level",
    "level",
    "0: where it was; 1: the signal moved; 2: it moved far.",
    ("model", "signal"),
)
SKETCH_SHARE: Final = GaugeSpec(
    "thalweg_sketch_share_ratio",
    "ratio",
    "Part of the users who are counted: fewer when more comes than there is time for.",
    ("of",),
)
MODEL_VERSION: Final = GaugeSpec(
    "thalweg_model_version", "version", "Version of the model that serves.", ("model",)
)
MODEL_AGE_SECONDS: Final = GaugeSpec(
    "thalweg_model_age_seconds", "seconds", "Time since the serving snapshot was made.", ("model",)
)
MODEL_ASKING_SECONDS: Final = GaugeSpec(
    "thalweg_model_asking_seconds",
    "seconds",
    "How long it took the model to answer when it was loaded (99th percentile).",
    ("model",),
)
MODEL_MAY_SERVE: Final = GaugeSpec(
    "thalweg_model_may_serve",
    "bool",
    "1: it answers within 2 ms; 0: it may only shadow.",
    ("model",),
)
MODEL_LEARNED: Final = CounterSpec(
    "thalweg_model_learned_total", "outcomes", "Outcomes the model learned.", ("model",)
)
MODEL_EVALUATED: Final = GaugeSpec(
    "thalweg_model_evaluated_outcomes",
    "outcomes",
    "Outcomes its lifetime scores rest on; each was predicted before it was learned.",
    ("model",),
)
MODEL_UNJUDGED: Final = GaugeSpec(
    "thalweg_model_unjudged_outcomes",
    "outcomes",
    "Outcomes it learned that no earlier self was old enough to judge: after a backlog, many.",
    ("model",),
)
MODEL_UNWEIGHTED: Final = GaugeSpec(
    "thalweg_model_unweighted_outcomes",
    "outcomes",
    "Outcomes it learned as if each weighed 1, since it takes no weights; it is biased by them.",
    ("model",),
)
MODEL_SKIPPED: Final = GaugeSpec(
    "thalweg_model_skipped_outcomes",
    "outcomes",
    "Outcomes it did not learn: of other features or another label rule, with unusable numbers, or"
    " it raised.",
    ("model",),
)
MODEL_ROC_AUC: Final = GaugeSpec(
    "thalweg_model_roc_auc",
    "probability",
    "Prequential ROC AUC since its first outcome; of the baselines too.",
    ("model",),
)
MODEL_LOG_LOSS: Final = GaugeSpec(
    "thalweg_model_log_loss",
    "nats",
    "Prequential log loss since its first outcome; also of the baselines.",
    ("model",),
)
MODEL_WINDOW_ROC_AUC: Final = GaugeSpec(
    "thalweg_model_window_roc_auc", "probability", "ROC AUC over its last outcomes.", ("model",)
)
MODEL_WINDOW_LOG_LOSS: Final = GaugeSpec(
    "thalweg_model_window_log_loss", "nats", "Log loss over its last outcomes.", ("model",)
)
MODEL_ACCURACY_LEVEL: Final = GaugeSpec(
    "thalweg_model_accuracy_level",
    "0, 1 or 2",
    "Whether it is worse than the best it kept up: normal, warning, critical.",
    ("model",),
)
MODEL_FIGURE: Final = GaugeSpec(
    "thalweg_model_figure",
    "as the figure",
    "Prequential figures of models that are not asked yes or no, by name, such as `accuracy`; those"
    " over the last outcomes begin with `recent_`.",
    ("figure", "model"),
)
MODEL_WINDOW_OUTCOMES: Final = GaugeSpec(
    "thalweg_model_window_outcomes",
    "outcomes",
    "Outcomes the windowed scores rest on, by label: what their confidence depends on.",
    ("label", "model"),
)
MODEL_ESTIMATED_ROC_AUC: Final = GaugeSpec(
    "thalweg_model_estimated_roc_auc",
    "probability",
    "What the ROC AUC of the latest predictions will be, if scores are worth what they were; blind"
    " to a world that answers differently.",
    ("model",),
)
MODEL_ESTIMATED_MARGIN: Final = GaugeSpec(
    "thalweg_model_estimated_margin_ratio",
    "probability",
    "How far from that chance alone may take it.",
    ("model",),
)
MODEL_ESTIMATED_LOG_LOSS: Final = GaugeSpec(
    "thalweg_model_estimated_log_loss", "nats", "The same of their log loss.", ("model",)
)
MODEL_ESTIMATED_POSITIVES: Final = GaugeSpec(
    "thalweg_model_estimated_positives_ratio",
    "share",
    "How many of the latest predictions are expected to be positives.",
    ("model",),
)
SERVED_WINDOW_LOG_LOSS: Final = GaugeSpec(
    "thalweg_served_window_log_loss",
    "nats",
    "Log loss of the latest outcomes that a model, or the ensemble, answered, as it was served.",
    ("model",),
)
SERVED_WINDOW_ROC_AUC: Final = GaugeSpec(
    "thalweg_served_window_roc_auc",
    "1",
    "ROC AUC of the latest outcomes that a model, or the ensemble, answered, as it was served.",
    ("model",),
)
SERVED_WINDOW_OUTCOMES: Final = GaugeSpec(
    "thalweg_served_window_outcomes",
    "outcomes",
    "Outcomes that these rest on, by label: what their confidence depends on.",
    ("label", "model"),
)
MODEL_LAG: Final = GaugeSpec(
    "thalweg_model_lag",
    "offsets",
    "Offsets of the log that a model, or its successor that is learned anew, is behind the others.",
    ("model",),
)
ROLLOUT_EXPOSURE: Final = GaugeSpec(
    "thalweg_rollout_exposure", "1", "Share of users in the experiment that runs.", ("rollout",)
)
ROLLOUT_LABELS: Final = GaugeSpec(
    "thalweg_rollout_labels",
    "labels",
    "Labels that champion and candidate both judged since the last step of a rollout with gates.",
    ("rollout",),
)
ROLLOUT_LOSS_DIFFERENCE: Final = GaugeSpec(
    "thalweg_rollout_loss_difference",
    "nats",
    "How much more log loss the candidate has than the champion: at least (low), at most (high).",
    ("end", "rollout"),
)
ROLLOUT_WAITS: Final = GaugeSpec(
    "thalweg_rollout_waits",
    "1",
    "Whether a step by gates is due and not taken, since the candidate may not serve.",
    ("rollout",),
)
ROLLOUT_USERS: Final = GaugeSpec(
    "thalweg_rollout_users",
    "users",
    "Users in each group of the experiment whose predictions were seen; after many, counted anew.",
    ("rollout", "variant"),
)
ROLLOUT_SAMPLE_RATIO_EVIDENCE: Final = GaugeSpec(
    "thalweg_rollout_sample_ratio_evidence",
    "powers of ten",
    "Evidence that users are not in the groups as planned: 4 is ten thousand to one.",
    ("rollout",),
)
RETRAININGS: Final = CounterSpec(
    "thalweg_retrainings_total",
    "trainings",
    "Trainings that the pipeline's policy began, by result: challenger, registered (not better than"
    " the champion, or overtaken by a decision), failed.",
    ("model", "result"),
)
RETRAINED_AT: Final = GaugeSpec(
    "thalweg_retrained_timestamp_seconds",
    "seconds since 1970",
    "When the last training that the policy began did, of each model.",
    ("model",),
)
SNAPSHOT_BYTES: Final = GaugeSpec(
    "thalweg_snapshot_bytes", "bytes", "Size of the newest snapshot.", ("model",)
)
SNAPSHOT_WRITE_SECONDS: Final = GaugeSpec(
    "thalweg_snapshot_write_seconds",
    "seconds",
    "Work of the learner that writing the newest snapshot took; how often it is written follows.",
    ("model",),
)
SNAPSHOTS: Final = CounterSpec(
    "thalweg_snapshots_total",
    "snapshots",
    "Snapshots by result: published or too_large (learn), loaded or refused (predict, learn).",
    ("model", "result"),
)
FRESHNESS_SECONDS: Final = HistogramSpec(
    "thalweg_freshness_seconds",
    "seconds",
    "Time from a label being known to a snapshot that learned from it serving.",
    ("model",),
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0),
)
LABEL_DELAY_SECONDS: Final = HistogramSpec(
    "thalweg_label_delay_seconds",
    "seconds",
    "Event time from an event to its label being known, of the outcomes that came to be learned.",
    buckets=DELAYS,
)
CHALLENGER_SCORE_SECONDS: Final = HistogramSpec(
    "thalweg_challenger_score_seconds",
    "seconds",
    "Time a challenger took to score one of the sampled events.",
    ("model",),
    buckets=MICROSECONDS,
)

# --- entities -------------------------------------------------------------------------------------

KNOWN_ENTITIES: Final = GaugeSpec(
    "thalweg_known_entities",
    "entities",
    "Entities gathered from all partitions whose features this predict worker knows.",
)
ENTITY_STALENESS_SECONDS: Final = HistogramSpec(
    "thalweg_entity_staleness_seconds",
    "seconds",
    "From an event's prediction until features of its entity that count it are known to predict.",
    buckets=LATENCY,
)

# --- the online store -----------------------------------------------------------------------------

USERS_WRITTEN: Final = CounterSpec(
    "thalweg_users_written_total", "users", "Users whose features were written to Redis."
)
ENTITIES_WRITTEN: Final = CounterSpec(
    "thalweg_entities_written_total",
    "entities",
    "Entities other than users whose features were written to Redis.",
)
REDIS_SECONDS: Final = HistogramSpec(
    "thalweg_redis_seconds",
    "seconds",
    "Time of one pipelined write to Redis.",
    buckets=MILLISECONDS,
)
REDIS_ERRORS: Final = CounterSpec(
    "thalweg_redis_errors_total", "errors", "Writes to Redis that failed and were tried again."
)
REDIS_RESTORED: Final = CounterSpec(
    "thalweg_redis_restored_total",
    "records",
    "Records of feature-updates and entity-features written again, since Redis had lost them.",
)
STORE_BEHIND_SECONDS: Final = GaugeSpec(
    "thalweg_store_behind_seconds", "seconds", "How far Redis is behind what is committed."
)
USERS_MOVED_ON: Final = CounterSpec(
    "thalweg_users_moved_on_total",
    "users",
    "Idle users whose features in Redis were looked at again, since windows empty.",
)
IDLE_OVERDUE_SECONDS: Final = GaugeSpec(
    "thalweg_store_idle_overdue_seconds",
    "seconds",
    "How long ago, in event time, the first of the idle users was due to be looked at again.",
)

# --- parity ---------------------------------------------------------------------------------------

PARITY_COMPARED: Final = CounterSpec(
    "thalweg_parity_compared_total",
    "outcomes",
    "Outcomes of sampled users whose features were computed again from the log.",
)
PARITY_MISMATCHES: Final = CounterSpec(
    "thalweg_parity_mismatches_total",
    "values",
    "Values that were served and are not what the log gives.",
    ("feature",),
)
PARITY_USERS: Final = GaugeSpec(
    "thalweg_parity_users", "users", "Users of the sample whose features are kept to be compared."
)
PARITY_MISSING: Final = CounterSpec(
    "thalweg_parity_missing_total", "events", "Events of sampled users without an outcome."
)
PARITY_EXTRA: Final = CounterSpec(
    "thalweg_parity_extra_total", "outcomes", "Outcomes of events that are not in the log."
)

# --- the offline store ----------------------------------------------------------------------------

ARCHIVED_ROWS: Final = CounterSpec(
    "thalweg_archived_rows_total", "rows", "Rows written to the offline store."
)
ARCHIVE_ROWS_WAITING: Final = GaugeSpec(
    "thalweg_archive_rows_waiting",
    "rows",
    "Rows gathered for the offline store and not written yet.",
)
ARCHIVE_ERRORS: Final = CounterSpec(
    "thalweg_archive_errors_total",
    "errors",
    "Writes to the offline store that failed and were tried again.",
)

# --- what the watch role sees from outside --------------------------------------------------------

LATENCY_SECONDS: Final = HistogramSpec(
    "thalweg_latency_seconds",
    "seconds",
    "Time from an event's publication to its prediction at a `read_committed` reader.",
    buckets=LATENCY,
)
GOAL: Final = GaugeSpec(
    "thalweg_goal",
    "the quantity's",
    "What the pipeline's `Goals` hold a quantity to, spans in seconds; alert rules compare.",
    ("quantity",),
)
CHAMPION: Final = GaugeSpec(
    "thalweg_champion", "1", "Names the model whose answers are acted on.", ("model",)
)
LAG_RECORDS: Final = GaugeSpec(
    "thalweg_lag_records", "records", "Records waiting for a consumer group.", ("group", "topic")
)
LAG_SECONDS: Final = GaugeSpec(
    "thalweg_lag_seconds",
    "seconds",
    "How long the oldest waiting record has been waiting; 0 when none is.",
    ("group", "topic"),
)
ALERTS: Final = CounterSpec(
    "thalweg_alerts_total", "alerts", "Alerts raised by this process.", ("kind", "level")
)
EMERGENCY: Final = GaugeSpec(
    "thalweg_emergency",
    "1 or 0",
    "Whether an emergency lasts that `watch` told of, and that is not silenced.",
    ("signal",),
)

SPANS: Final = CounterSpec(
    "thalweg_spans_total",
    "spans",
    "Spans of traced records: `made`, `exported` to the collector, or `failed`: it did not take"
    " them. What is neither waits, or was more than the queue holds.",
    ("fate",),
)

SECTIONS: Final[Mapping[str, tuple[MetricSpec, ...]]] = {
    "The process": (UP, READY, GC_PAUSE_SECONDS),
    "Events and predictions": (
        *(
            EVENTS,
            PREDICTIONS,
            DEGRADED,
            DUPLICATES,
            EVENT_IDS_CROWDED_OUT,
            LATE_EVENTS,
            BAD_TRACEPARENTS,
            DEAD_LETTERS,
        ),
        *(SCORES, LABELS, OUTCOMES, REVIEWS_QUEUED),
    ),
    "Data quality": (
        *(QUALITY_CHECKS, QUALITY_NULLS, QUALITY_FINDINGS, FEATURES_MISSING, FEATURES_DEFAULT),
        *(QUALITY_SCORE, QUALITY_NULL_RATIO, QUALITY_FINDING_RATIO, FEATURES_MISSING_RATIO),
    ),
    "Batches, transactions, partitions": (
        *(PROCESSING_SECONDS, BATCH_RECORDS, TRANSACTION_SECONDS, TRANSACTIONS),
        *(IN_FLIGHT_RECORDS, ASSIGNED_PARTITIONS, REBALANCES),
    ),
    "Keyed state": (
        *(STATE_ENTRIES, SPILL_USERS, SPILL_READS, SPILL_WRITES, STATES_BEGUN_ANEW),
        *(RESTORE_PROGRESS, RESTORED_KEYS, STANDBY_PARTITIONS),
    ),
    "Entities": (KNOWN_ENTITIES, ENTITY_STALENESS_SECONDS),
    "Drift": (
        DRIFT_STATISTIC,
        DRIFT_THRESHOLD,
        DRIFT_MEAN,
        DRIFT_REFERENCE,
        DRIFT_ALARMS,
        DRIFT_RESETS,
    ),
    "Drift, day by day, of all partitions together": (
        *(SHIFT_INDEX, SHIFT_INDEX_BY_CHANCE, SHIFT_EVIDENCE, SHIFT_LEVEL, SKETCH_SHARE),
    ),
    "Models": (
        *(MODEL_VERSION, MODEL_AGE_SECONDS, MODEL_LEARNED, MODEL_EVALUATED),
        *(MODEL_ASKING_SECONDS, MODEL_MAY_SERVE, MODEL_UNJUDGED, MODEL_SKIPPED, MODEL_ROC_AUC),
        MODEL_UNWEIGHTED,
        *(
            MODEL_LOG_LOSS,
            MODEL_WINDOW_ROC_AUC,
            MODEL_WINDOW_LOG_LOSS,
            MODEL_FIGURE,
            MODEL_ACCURACY_LEVEL,
            MODEL_WINDOW_OUTCOMES,
        ),
        *(MODEL_ESTIMATED_ROC_AUC, MODEL_ESTIMATED_MARGIN, MODEL_ESTIMATED_LOG_LOSS),
        *(MODEL_ESTIMATED_POSITIVES, SERVED_WINDOW_LOG_LOSS, SERVED_WINDOW_ROC_AUC),
        SERVED_WINDOW_OUTCOMES,
        *(RETRAININGS, RETRAINED_AT),
        *(MODEL_LAG, SNAPSHOT_BYTES, SNAPSHOT_WRITE_SECONDS, SNAPSHOTS),
        *(FRESHNESS_SECONDS, LABEL_DELAY_SECONDS, CHALLENGER_SCORE_SECONDS),
    ),
    "Rollouts": (
        *(ROLLOUT_EXPOSURE, ROLLOUT_LABELS, ROLLOUT_LOSS_DIFFERENCE),
        *(ROLLOUT_WAITS, ROLLOUT_USERS, ROLLOUT_SAMPLE_RATIO_EVIDENCE),
    ),
    "The online store": (
        *(USERS_WRITTEN, ENTITIES_WRITTEN),
        *(REDIS_SECONDS, REDIS_ERRORS, REDIS_RESTORED, STORE_BEHIND_SECONDS),
        *(USERS_MOVED_ON, IDLE_OVERDUE_SECONDS),
    ),
    "Parity of what is served": (
        *(PARITY_COMPARED, PARITY_MISMATCHES, PARITY_MISSING, PARITY_EXTRA, PARITY_USERS),
    ),
    "The offline store": (ARCHIVED_ROWS, ARCHIVE_ROWS_WAITING, ARCHIVE_ERRORS),
    "Seen from outside": (
        *(LATENCY_SECONDS, GOAL, CHAMPION, LAG_RECORDS, LAG_SECONDS, ALERTS, EMERGENCY),
    ),
    "Traces": (SPANS,),
}
ALL: Final = tuple(spec for section in SECTIONS.values() for spec in section)


def markdown() -> str:
    """Write the whole list as `docs/metrics.md`."""
    parts = [
        "# Metrics",
        "Generated by `python -m agents.observability.metrics`; a test holds this page equal to "
        "`agents/observability/metric_list.py`.",
        "Every process serves those it has at `/metrics` (`THALWEG_METRICS_PORT`) and publishes "
        "them more than once a second to the topic `telemetry`. Beside them stand Prometheus' own "
        "`process_*`.",
    ]
    for title, specs in SECTIONS.items():
        parts += [f"## {title}", markdown_table(specs)]
    return "\n\n".join(parts) + "\n"
