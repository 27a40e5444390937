-- What `benchmarks/findings_under_load.py` makes in its own cluster's database: every change of a state that counts,
-- with who made it. A callback is noted at every update: the second scheduler writes the state that the first one wrote.
CREATE TABLE findings_audit (
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    txid bigint NOT NULL DEFAULT txid_current(),
    application text NOT NULL DEFAULT current_setting('application_name'),
    kind text NOT NULL,
    id text NOT NULL,
    dag_id text,
    run_id text,
    task_id text,
    before text,
    after text,
    next_method text,
    next_kwargs text
);

CREATE FUNCTION findings_audit_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO findings_audit (kind, id, dag_id, run_id, task_id, before, after, next_method, next_kwargs)
    VALUES ('task', NEW.id, NEW.dag_id, NEW.run_id, NEW.task_id, OLD.state, NEW.state,
            NEW.next_method, NEW.next_kwargs::text);
    RETURN NULL;
END $$;

CREATE TRIGGER findings_audit AFTER UPDATE ON task_instance FOR EACH ROW
WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.next_kwargs::text IS DISTINCT FROM NEW.next_kwargs::text)
EXECUTE FUNCTION findings_audit_task();

CREATE FUNCTION findings_audit_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO findings_audit (kind, id, dag_id, run_id, before, after)
    VALUES ('run', NEW.id, NEW.dag_id, NEW.run_id, OLD.state, NEW.state);
    RETURN NULL;
END $$;

CREATE TRIGGER findings_audit AFTER UPDATE ON dag_run FOR EACH ROW
WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION findings_audit_run();

CREATE FUNCTION findings_audit_callback() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO findings_audit (kind, id, before, after) VALUES ('callback', NEW.id, OLD.state, NEW.state);
    RETURN NULL;
END $$;

CREATE TRIGGER findings_audit AFTER UPDATE ON callback FOR EACH ROW EXECUTE FUNCTION findings_audit_callback();
