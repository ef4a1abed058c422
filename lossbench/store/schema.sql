-- The present schema, whole. There are no keys and no indexes: rows are only ever added, and readers take the latest.
-- Times are UTC. A different schema_version is brought here by writing a new file from the events.
-- The view `event` puts epochs and starts together again, whose bodies are not kept. Every table takes a block at least,
-- however few its rows: what can be said by a view is no table. The view `meta` (schema_version, made_by, made_at) is
-- made beside this.

-- How much of each journal is inside: complete lines up to `bytes`, the last number read, the file's size then. A
-- further row of size -2 says that nothing will be added to it.
CREATE TABLE ingested (attempt VARCHAR, bytes BIGINT, seq BIGINT, size BIGINT);

-- One row per event; (attempt, seq) names it for ever. `v` is its version. `metrics` counts the values of an epoch,
-- which stand in `reading` under the same run, `began` and seq; a start stands in `started`; `body` holds the other
-- kinds whole. `began` is when the process that tells of an epoch took up the run.
CREATE TABLE entry (
    attempt VARCHAR, seq BIGINT, run_id VARCHAR, kind VARCHAR, v INTEGER, epoch INTEGER, time TIMESTAMP,
    began TIMESTAMP, metrics INTEGER, body JSON
);

CREATE TABLE started (
    attempt VARCHAR, seq BIGINT, run_id VARCHAR, time TIMESTAMP, key VARCHAR, recipe VARCHAR,
    preset VARCHAR, loss VARCHAR, seed BIGINT, epochs INTEGER, from_epoch INTEGER, spec JSON, provenance JSON
);

-- What of a run was in a journal each time it was taken in: a row of its epochs, a row of everything else, and one of
-- each end, which alone has a status, a reason and a seq.
CREATE TABLE spell (
    attempt VARCHAR, run_id VARCHAR, first_at TIMESTAMP, last_at TIMESTAMP, epoch INTEGER,
    seq BIGINT, status VARCHAR, reason VARCHAR
);

CREATE VIEW ended AS
SELECT attempt, seq, run_id, last_at AS time, status, reason FROM spell WHERE status IS NOT NULL;

-- What the numbers in `reading` stand for: either a run, or a metric of a split.
CREATE TABLE word (number UINTEGER, run_id VARCHAR, split VARCHAR, name VARCHAR);

-- The values of epochs. A number that repeats from row to row takes next to nothing, a text a byte or more.
CREATE TABLE reading (run UINTEGER, metric UINTEGER, epoch INTEGER, value DOUBLE, began TIMESTAMP, seq BIGINT);

-- Of two records of an epoch the one counts whose process took up the run later.
CREATE VIEW metric AS
SELECT of_run.run_id, epoch, of_metric.split, of_metric.name, value, began, seq
FROM reading
JOIN word AS of_run ON of_run.number = reading.run
JOIN word AS of_metric ON of_metric.number = reading.metric;

-- One row per run and split; element i of each list is row i of the split.
CREATE TABLE prediction (
    run_id VARCHAR, epoch INTEGER, split VARCHAR, time TIMESTAMP,
    label USMALLINT[], predicted USMALLINT[], rank USMALLINT[], p_true FLOAT[], p_max FLOAT[]
);

CREATE TABLE mark (run_id VARCHAR, field VARCHAR, value VARCHAR, time TIMESTAMP, seq BIGINT);

-- Every event whole, as its journal told it but for the order of an epoch's metrics. JSON has no word for NaN or infinity.
CREATE VIEW event AS
WITH measured AS (
    SELECT run_id, began, seq, json_group_object(
        split || '/' || name, CASE WHEN isfinite(value) THEN to_json(value) ELSE to_json(value::VARCHAR) END
    ) AS metrics
    FROM metric GROUP BY run_id, began, seq
)
SELECT
    entry.attempt, entry.seq, entry.run_id, kind, epoch, entry.time,
    CASE kind
        WHEN 'epoch' THEN json_object(
            'v', v, 'kind', kind, 'run_id', entry.run_id, 'at', strftime(entry.time, '%Y-%m-%dT%H:%M:%S.%f+00:00'),
            'epoch', epoch, 'metrics', coalesce(measured.metrics, '{}'::JSON)
        )
        WHEN 'started' THEN json_object(
            'v', v, 'kind', kind, 'run_id', entry.run_id, 'at', strftime(entry.time, '%Y-%m-%dT%H:%M:%S.%f+00:00'),
            'key', key, 'recipe', recipe, 'spec', spec, 'from_epoch', from_epoch, 'provenance', provenance
        )
        ELSE body
    END AS body
FROM entry
LEFT JOIN measured ON kind = 'epoch' AND (measured.run_id, measured.began, measured.seq) = (entry.run_id, entry.began, entry.seq)
LEFT JOIN started ON kind = 'started' AND (started.attempt, started.seq) = (entry.attempt, entry.seq);

-- The public read interface.

-- One row per run. `status` is that of the last process: 'running' when it has said nothing of an end.
CREATE VIEW run AS
WITH latest AS (
    SELECT * FROM started QUALIFY row_number() OVER (PARTITION BY run_id ORDER BY time DESC, seq DESC) = 1
), ending AS (
    -- A parent tells of its worker's death in a journal of its own, so an end also counts by its time.
    SELECT ended.run_id, max(ended.time) AS ended_at,
        arg_max(ended.status, row(ended.time, ended.seq)) AS status,
        arg_max(ended.reason, row(ended.time, ended.seq)) AS reason
    FROM ended JOIN latest USING (run_id)
    WHERE ended.attempt = latest.attempt OR ended.time >= latest.time
    GROUP BY ended.run_id
), process AS (
    SELECT run_id, attempt, min(first_at) AS first_at, max(last_at) AS last_at, max(epoch) AS epoch
    FROM spell GROUP BY run_id, attempt
), history AS (
    SELECT run_id, min(first_at) AS started_at, max(last_at) AS last_at, max(epoch) AS epoch, count(*) AS attempts,
        sum(epoch_us(last_at) - epoch_us(first_at)) / 1e6 AS seconds
    FROM process GROUP BY run_id
), said AS (
    SELECT run_id, field, arg_max(value, row(time, seq)) AS value FROM mark GROUP BY run_id, field
), marks AS (
    SELECT run_id,
        max(value) FILTER (field = 'name') AS name,
        max(value) FILTER (field = 'note') AS note,
        coalesce(bool_or(value = 'true') FILTER (field = 'removed'), false) AS removed,
        list(substr(field, 5) ORDER BY field) FILTER (starts_with(field, 'tag:') AND value = 'true') AS tags
    FROM said GROUP BY run_id
)
SELECT
    run_id, nullif(name, '') AS name, preset, loss, seed, coalesce(ending.status, 'running') AS status,
    coalesce(history.epoch, 0) AS epoch, epochs, started_at, ended_at, last_at, seconds, key, recipe,
    spec->>'$.preset.data.name' AS dataset,
    spec->>'$.preset.model.name' AS model,
    spec->>'$.preset.metric.name' AS metric,
    spec->>'$.preset.metric.at' AS metric_at,
    provenance->>'$.host' AS host,
    provenance->>'$.device' AS device,
    provenance->>'$.device_name' AS device_name,
    provenance->>'$.lossbench' AS lossbench,
    provenance->>'$.git_commit' AS git_commit,
    try_cast(provenance->>'$.git_dirty' AS BOOLEAN) AS git_dirty,
    provenance->>'$.torch' AS torch,
    coalesce(reason, '') AS reason,
    coalesce(tags, []) AS tags, coalesce(note, '') AS note, coalesce(removed, false) AS removed,
    attempts, latest.attempt AS attempt, spec, provenance
FROM latest
JOIN history USING (run_id)
LEFT JOIN ending USING (run_id)
LEFT JOIN marks USING (run_id);

-- One row per metric of a finished epoch. A resumed run may have repeated an epoch; the latest record counts.
CREATE VIEW epoch AS
SELECT run_id, epoch, split, name, arg_max(value, began) AS value
FROM metric GROUP BY run_id, epoch, split, name;

-- The last epoch's value of every metric of every run.
CREATE VIEW final AS
SELECT run_id, split, name, max(epoch) AS epoch, arg_max(value, row(epoch, began)) AS value
FROM metric GROUP BY run_id, split, name;

-- One row per cell of the bench: its best attempt. A finished run beats a live one, a live one one that can be resumed.
CREATE VIEW cell AS
SELECT key, preset, loss, seed, run_id, status, epoch, epochs
FROM run WHERE NOT removed
QUALIFY row_number() OVER (
    PARTITION BY key
    ORDER BY CASE status WHEN 'done' THEN 1 WHEN 'diverged' THEN 2 WHEN 'running' THEN 3 WHEN 'failed' THEN 5 ELSE 4 END,
        epoch DESC, started_at DESC, run_id
) = 1;
